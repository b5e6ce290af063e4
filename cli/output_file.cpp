#include "cli/output_file.hpp"

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace lockstep {

namespace {

[[noreturn]] void fail(const std::string& path, int number) {
    throw Error("cannot write " + path + ": " + std::generic_category().message(number),
                "Check that its folder exists and is writable for this user.");
}

}  // namespace

bool write_all(int fd, const std::string& text) {
    for (std::size_t done = 0; done < text.size();) {
        const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        done += count > 0 ? static_cast<std::size_t>(count) : 0;
    }
    return true;
}

void write_whole_file(const std::string& path, const std::string& text, unsigned mode) {
    // node_exporter reads every *.prom of its folder: the temporary must not end so.
    std::string temporary = path + ".XXXXXX";
    const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (fd.get() < 0) {
        fail(path, errno);
    }
    if (!write_all(fd.get(), text) || ::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0 ||
        ::rename(temporary.c_str(), path.c_str()) != 0) {
        const int number = errno;
        ::unlink(temporary.c_str());
        fail(path, number);
    }
}

}  // namespace lockstep
