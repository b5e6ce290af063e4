#include "cli/signals.hpp"

#include <csignal>

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

}  // namespace

Interrupts::Interrupts() {
    const sigset_t set = our_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of write(), not our end
    thread_ = std::thread([this] { listen(); });
}

Interrupts::~Interrupts() {
    ending_ = true;
    pthread_kill(thread_.native_handle(), SIGUSR1);  // wakes sigwait
    thread_.join();
}

void Interrupts::on_second(std::function<void()> action) {
    const std::lock_guard lock(mutex_);
    second_ = std::move(action);
}

void Interrupts::listen() {
    const sigset_t set = our_signals();
    for (;;) {
        int number = 0;
        sigwait(&set, &number);
        if (ending_) {
            return;
        }
        if (number == SIGHUP || number == SIGUSR1) {
            continue;
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
