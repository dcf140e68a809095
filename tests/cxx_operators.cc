// SPDX-License-Identifier: MIT
//
// cxx_operators - operator new and delete in every replaceable form.
//
//   new, new[]        plain, nothrow, aligned, aligned nothrow
//   delete, delete[]  plain, sized, aligned, aligned sized, nothrow
//
// A size nobody has throws std::bad_alloc, or is NULL from the nothrow forms;
// the new_handler is called first, again and again until it changes or throws.
// Built only where there is a C++ compiler; C++17.

#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "probe.h"

namespace
{

constexpr std::size_t too_much = SIZE_MAX / 2 - 4096;
int handler_calls;

void give_up_at_third()
{
	if (++handler_calls == 3)
		std::set_new_handler(nullptr);
}

struct my_failure {
};

void throw_mine()
{
	throw my_failure();
}

bool aligned(const void *p, std::size_t align)
{
	return p != nullptr && reinterpret_cast<std::uintptr_t>(p) % align == 0;
}

void check_plain()
{
	std::size_t bad = 0;
	for (std::size_t n = 0; n < 300000; n = n * 5 / 4 + 1) {
		void *p[6] = { ::operator new(n),		  ::operator new[](n),
			       ::operator new(n, std::nothrow),	  ::operator new[](n, std::nothrow),
			       ::operator new(n),		  ::operator new[](n) };
		for (unsigned i = 0; i < 6; i++) {
			bad += !aligned(p[i], 16);
			fill(p[i], n, i);
		}
		for (unsigned i = 0; i < 6; i++)
			bad += !intact(p[i], n, i);
		::operator delete(p[0]);
		::operator delete[](p[1]);
		::operator delete(p[2], std::nothrow);
		::operator delete[](p[3], std::nothrow);
		::operator delete(p[4], n);
		::operator delete[](p[5], n);
	}
	is_int(bad, 0, "plain, array and nothrow forms, sized and unsized delete");
}

void check_aligned()
{
	std::size_t bad = 0;
	for (std::size_t align = 1; align <= 65536; align *= 2)
		for (std::size_t n = 1; n < 100000; n = n * 3 + 1) {
			std::align_val_t a{ align };
			void *p[6] = { ::operator new(n, a),
				       ::operator new[](n, a),
				       ::operator new(n, a, std::nothrow),
				       ::operator new[](n, a, std::nothrow),
				       ::operator new(n, a),
				       ::operator new[](n, a) };
			for (unsigned i = 0; i < 6; i++) {
				bad += !aligned(p[i], align);
				fill(p[i], n, i);
			}
			for (unsigned i = 0; i < 6; i++)
				bad += !intact(p[i], n, i);
			::operator delete(p[0], a);
			::operator delete[](p[1], a);
			::operator delete(p[2], a, std::nothrow);
			::operator delete[](p[3], a, std::nothrow);
			::operator delete(p[4], n, a);
			::operator delete[](p[5], n, a);
		}
	is_int(bad, 0, "aligned forms from 1 byte to 64 KiB");
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, std::size_t{ 8 });
	::operator delete(nullptr, std::align_val_t{ 64 });
	ok(1, "delete of nullptr in several forms");
}

template <typename Call> bool throws_bad_alloc(Call call)
{
	try {
		escape(call());
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

void check_refusal()
{
	std::size_t n = opaque(too_much);
	std::align_val_t a{ 64 };
	ok(throws_bad_alloc([&] { return ::operator new(n); }), "new throws bad_alloc");
	ok(throws_bad_alloc([&] { return ::operator new[](n); }), "new[] throws bad_alloc");
	ok(throws_bad_alloc([&] { return ::operator new(n, a); }), "aligned new throws");
	ok(throws_bad_alloc([&] { return ::operator new[](n, a); }), "aligned new[] throws");
	ok(throws_bad_alloc([&] { return ::operator new(opaque(SIZE_MAX)); }),
	   "new of SIZE_MAX throws");
	is_ptr(escape(::operator new(n, std::nothrow)), nullptr, "nothrow new is NULL");
	is_ptr(escape(::operator new[](n, std::nothrow)), nullptr, "nothrow new[] is NULL");
	is_ptr(escape(::operator new(n, a, std::nothrow)), nullptr, "aligned nothrow new");
	is_ptr(escape(::operator new[](n, a, std::nothrow)), nullptr, "aligned nothrow new[]");
}

void check_handler()
{
	std::size_t n = opaque(too_much);
	std::set_new_handler(give_up_at_third);
	ok(throws_bad_alloc([&] { return ::operator new(n); }), "new after its handler gave up");
	is_int(handler_calls, 3, "the handler was called until it went");
	handler_calls = 0;
	std::set_new_handler(give_up_at_third);
	is_ptr(escape(::operator new(n, std::nothrow)), nullptr, "nothrow new after its handler");
	is_int(handler_calls, 3, "which nothrow new calls as well");
	handler_calls = 0;
	std::set_new_handler(give_up_at_third);
	throws_bad_alloc([&] { return ::operator new(n, std::align_val_t{ 128 }); });
	is_int(handler_calls, 3, "and aligned new");
	std::set_new_handler(throw_mine);
	bool mine = false;
	try {
		escape(::operator new(n));
	} catch (const my_failure &) {
		mine = true;
	}
	ok(mine, "what the handler throws passes through");
	std::set_new_handler(nullptr);
}

// In a child: an allocator that lets the exception out ends there.
void check_nothrow_handler()
{
	std::size_t n = opaque(too_much);
	pid_t child = fork();
	if (child == 0) {
		struct rlimit no_core = {};
		setrlimit(RLIMIT_CORE, &no_core);
		close(2);
		std::set_new_handler(throw_mine);
		_exit(escape(::operator new(n, std::nothrow)) != nullptr);
	}
	ok(ended_well(reap(child)), "what the handler throws does not leave nothrow new");
}

struct alignas(256) wide {
	char data[700];
};

void check_library()
{
	std::vector<std::string> words;
	std::vector<wide> row(33);
	std::size_t length = 0;
	for (int i = 0; i < 20000; i++)
		words.push_back(std::string(static_cast<std::size_t>(i % 300), 'x'));
	for (const std::string &word : words)
		length += word.size();
	is_int(static_cast<long long>(length), 2980000, "20000 strings in a vector");
	ok(aligned(row.data(), 256), "a vector of over-aligned elements");
}

} // namespace

int main()
{
	watchdog(120);
	check_plain();
	check_aligned();
	check_refusal();
	check_handler();
	check_nothrow_handler();
	check_library();
	return tap_done();
}
