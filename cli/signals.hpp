#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace lockstep {

/// Ctrl-C and SIGTERM in order: the first asks to stop after what runs, the second to stop waiting.
/// SIGHUP does not end a run: the terminal may go. Signals are taken by one thread, which must be
/// made before any other so that all of them have the signals blocked.
struct Interrupts {
    Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    ~Interrupts();

    [[nodiscard]] std::stop_token token() const { return stop_.get_token(); }

    /// Sets what a second signal does; may be empty.
    void on_second(std::function<void()> action);

  private:
    void listen();

    std::stop_source stop_;
    std::mutex mutex_;
    std::function<void()> second_;
    std::atomic<bool> ending_ = false;
    std::thread thread_;
};

}  // namespace lockstep
