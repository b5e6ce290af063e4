/// Read by ThreadSanitizer, where it is built in. Debian's libspdlog is not instrumented, so the
/// guard of its first use (a static of a function, safe by the language) is not seen: a thread that
/// logs second reads what the first one has "just written".
extern "C" const char* __tsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)

extern "C" const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
    return "race:spdlog::details::registry::registry\n";
}
