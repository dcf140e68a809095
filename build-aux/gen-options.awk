# SPDX-License-Identifier: MIT
#
# gen-options.awk - hz_options(7) from the table of options in lib/option.c.
#
#   awk -f gen-options.awk lib/option.c build-aux/hz_options.7.in
#
# The second file is the page with one line @OPTIONS@, and behind a line @NAME@ what is to be
# said about that option beyond the table's line of help. Options come in the table's order; a
# text without an option, or no option at all, is an error.

function fail(why)
{
	print "gen-options.awk: " why >"/dev/stderr"
	failed = 1
	exit 1
}

# The table: rows of { "NAME", "help", ... }, strings perhaps on several lines.
FNR == NR {
	if (/rows\[\] = \{/)
		inside = 1
	else if (inside && /^};/)
		inside = 0
	if (inside) {
		line = $0
		while (match(line, /"[^"]*"/)) {
			word = substr(line, RSTART + 1, RLENGTH - 2)
			line = substr(line, RSTART + RLENGTH)
			if (word ~ /^HZ_[A-Z0-9_]+$/)
				name[++n] = word
			else
				help[n] = help[n] word
		}
	}
	next
}

/^@OPTIONS@$/ { page[++lines] = $0; next }
/^@[A-Z0-9_]+@$/ { key = substr($0, 2, length($0) - 2); next }
key == "" { page[++lines] = $0; next }
{ text[key] = text[key] $0 "\n" }

END {
	if (failed)
		exit 1
	if (!n)
		fail("no options found")
	for (i = 1; i <= n; i++) {
		if (help[i] == "")
			fail(name[i] " has no line of help")
		known[name[i]] = 1
	}
	for (key in text)
		if (!(key in known))
			fail("no option is called " key)
	for (l = 1; l <= lines; l++) {
		if (page[l] != "@OPTIONS@") {
			print page[l]
			continue
		}
		for (i = 1; i <= n; i++) {
			print ".It Ev " name[i]
			print toupper(substr(help[i], 1, 1)) substr(help[i], 2) "."
			printf "%s", text[name[i]]
		}
	}
}
