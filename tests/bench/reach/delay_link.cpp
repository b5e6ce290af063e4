// A link between two network namespaces that delays each packet, for kernels without `tc netem`: a
// tun device in each, and this in between. usage: delay_link NAMESPACE NAMESPACE MILLISECONDS (one
// way); the devices are called `wan`. Says `ready`.
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

int device_in(const std::string& space) {
    const int ns = ::open(("/run/netns/" + space).c_str(), O_RDONLY | O_CLOEXEC);
    const int device = ns < 0 || ::setns(ns, CLONE_NEWNET) != 0
                           ? -1
                           : ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strncpy(request.ifr_name, "wan", IFNAMSIZ - 1);
    if (device < 0 || ::ioctl(device, TUNSETIFF, &request) != 0) {
        std::cerr << "delay_link: no device in " << space << ": " << std::strerror(errno) << "\n";
        std::exit(1);
    }
    ::close(ns);
    return device;
}

struct Direction {
    int from;
    int to;
    std::deque<std::pair<Clock::time_point, std::vector<char>>> packets{};

    void take(Clock::time_point due) {
        std::array<char, 65536> buffer{};
        for (ssize_t size = 0; (size = ::read(from, buffer.data(), buffer.size())) > 0;) {
            packets.emplace_back(due, std::vector<char>(buffer.data(), buffer.data() + size));
        }
    }

    void deliver(Clock::time_point now) {
        while (!packets.empty() && packets.front().first <= now) {
            const std::vector<char>& packet = packets.front().second;
            if (::write(to, packet.data(), packet.size()) < 0 && errno == EAGAIN) {
                return;
            }
            packets.pop_front();
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv, argv + argc);
    if (arguments.size() != 4) {
        return 2;
    }
    const std::chrono::duration<double, std::milli> delay(std::atof(arguments[3].c_str()));
    const int left = device_in(arguments[1]);
    const int right = device_in(arguments[2]);
    std::array<Direction, 2> ways{Direction{left, right}, Direction{right, left}};
    std::cout << "ready" << std::endl;
    for (;;) {
        Clock::duration nap = std::chrono::seconds(1);
        for (const Direction& way : ways) {
            if (!way.packets.empty()) {
                nap = std::min(nap, way.packets.front().first - Clock::now());
            }
        }
        const auto left_of = std::max<std::int64_t>(
            0, std::chrono::duration_cast<std::chrono::nanoseconds>(nap).count());
        const timespec wait{left_of / 1'000'000'000, left_of % 1'000'000'000};
        std::array<pollfd, 2> fds{pollfd{left, POLLIN, 0}, pollfd{right, POLLIN, 0}};
        ::ppoll(fds.data(), fds.size(), &wait, nullptr);
        const auto now = Clock::now();
        for (Direction& way : ways) {
            way.take(now + std::chrono::duration_cast<Clock::duration>(delay));
            way.deliver(now);
        }
    }
}
