#include "cli/signals.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>
#include <string_view>

namespace lockstep {

namespace {

sigset_t our_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
        sigaddset(&set, number);
    }
    return set;
}

/// By no destructor: other threads may be waiting for what never comes.
[[noreturn]] void end_process() {
    constexpr std::string_view k_word = "interrupted; nothing was begun\n";
    (void)!::write(STDERR_FILENO, k_word.data(), k_word.size());
    ::_exit(130);
}

}  // namespace

Interrupts::Interrupts() {
    const sigset_t set = our_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    thread_ = std::thread([this] { listen(); });
}

Interrupts::~Interrupts() {
    ending_ = true;
    pthread_kill(thread_.native_handle(), SIGUSR1);  // wakes sigwait
    thread_.join();
}

void Interrupts::on_second(std::function<void()> action) {
    begin();
    const std::lock_guard lock(mutex_);
    second_ = std::move(action);
}

void Interrupts::listen() {
    const sigset_t set = our_signals();
    const timespec patience{.tv_sec = k_patience.count(), .tv_nsec = 0};
    for (;;) {
        const bool asked = stop_.stop_requested() && !begun_;
        const int number =
            asked ? sigtimedwait(&set, nullptr, &patience) : sigwaitinfo(&set, nullptr);
        if (ending_) {
            return;
        }
        if (number < 0 && !begun_ && stop_.stop_requested() && errno == EAGAIN) {
            end_process();
        }
        if (number < 0 || number == SIGUSR1 || (number == SIGHUP && heard_)) {
            continue;
        }
        if (!heard_ && !begun_) {
            end_process();
        }
        if (!stop_.stop_requested()) {
            stop_.request_stop();
            continue;
        }
        const std::lock_guard lock(mutex_);
        if (second_) {
            second_();
        }
    }
}

}  // namespace lockstep
