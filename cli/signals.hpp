#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <stop_token>
#include <thread>

namespace lockstep {

/// Ctrl-C and SIGTERM in order: the first asks to stop after what runs, the second to stop waiting.
/// SIGHUP does not end a run: the terminal may go. Before anything was begun a signal ends the
/// process (130), whatever it waits for: at once while nobody has asked for the token, as when a
/// file is read, else where the token did not end it within k_patience. Signals are taken by one
/// thread, which must be made before any other so that all of them have the signals blocked.
struct Interrupts {
    static constexpr std::chrono::seconds k_patience{2};

    Interrupts();
    Interrupts(const Interrupts&) = delete;
    Interrupts& operator=(const Interrupts&) = delete;
    ~Interrupts();

    [[nodiscard]] std::stop_token token() {
        heard_ = true;
        return stop_.get_token();
    }

    /// From now on something may be half done: no signal ends the process any more.
    void begin() { begun_ = true; }

    /// Sets what a second signal does; may be empty. Something is begun with it.
    void on_second(std::function<void()> action);

  private:
    void listen();

    std::stop_source stop_;
    std::mutex mutex_;
    std::function<void()> second_;
    std::atomic<bool> heard_ = false;
    std::atomic<bool> begun_ = false;
    std::atomic<bool> ending_ = false;
    std::thread thread_;
};

}  // namespace lockstep
