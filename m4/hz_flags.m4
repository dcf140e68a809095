# SPDX-License-Identifier: MIT
# hz_flags.m4 - try compiler and linker flags one by one and keep those that work.

# hz_COMPILE_FLAGS(VARIABLE, FLAGS)
# Append to VARIABLE each flag that compiles without a warning. -Werror makes clang refuse
# the flags it would only warn about.
AC_DEFUN([hz_COMPILE_FLAGS], [
for hz_flag in $2; do
  AS_VAR_PUSHDEF([hz_cache], [hz_cv_compile_$hz_flag])
  AC_CACHE_CHECK([whether $CC accepts $hz_flag], [hz_cache], [
    hz_saved_cflags=$CFLAGS
    CFLAGS="$CFLAGS -Werror $hz_flag"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
      [AS_VAR_SET([hz_cache], [yes])], [AS_VAR_SET([hz_cache], [no])])
    CFLAGS=$hz_saved_cflags])
  AS_VAR_IF([hz_cache], [yes], [$1="${$1:+$$1 }$hz_flag"])
  AS_VAR_POPDEF([hz_cache])
done])

# hz_LINK_FLAGS(VARIABLE, FLAGS)
# Append to VARIABLE each flag with which a shared object links.
AC_DEFUN([hz_LINK_FLAGS], [
for hz_flag in $2; do
  AS_VAR_PUSHDEF([hz_cache], [hz_cv_link_$hz_flag])
  AC_CACHE_CHECK([whether the linker accepts $hz_flag], [hz_cache], [
    hz_saved_ldflags=$LDFLAGS
    LDFLAGS="$LDFLAGS -shared -fPIC -Wl,--fatal-warnings $hz_flag"
    AC_LINK_IFELSE([AC_LANG_SOURCE([int hz_probe(void); int hz_probe(void) { return 0; }])],
      [AS_VAR_SET([hz_cache], [yes])], [AS_VAR_SET([hz_cache], [no])])
    LDFLAGS=$hz_saved_ldflags])
  AS_VAR_IF([hz_cache], [yes], [$1="${$1:+$$1 }$hz_flag"])
  AS_VAR_POPDEF([hz_cache])
done])

# hz_VERSION_SCRIPT(VARIABLE, FLAG)
# Set VARIABLE to yes when a shared object links with the version script.
AC_DEFUN([hz_VERSION_SCRIPT], [
AC_CACHE_CHECK([whether the linker takes a version script], [hz_cv_version_script], [
  hz_saved_ldflags=$LDFLAGS
  LDFLAGS="$LDFLAGS -shared -fPIC $2"
  AC_LINK_IFELSE([AC_LANG_SOURCE([int hz_probe(void); int hz_probe(void) { return 0; }])],
    [hz_cv_version_script=yes], [hz_cv_version_script=no])
  LDFLAGS=$hz_saved_ldflags])
$1=$hz_cv_version_script])
