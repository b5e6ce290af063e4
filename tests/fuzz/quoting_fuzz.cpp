#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "engine/expression/expression.hpp"
#include "steps/spool/spool_protocol.hpp"
#include "transport/exec_trailer.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

// The input as values, and what real shells make of them in every place where a value is put into a
// command: as a word, in a shell text of a runbook, inside of a shell inside of a shell, through
// the login shell, and in a request to the spool. They must come out as they were, and be nothing
// but text. Each word of the input is one value: they are separated by NUL bytes.
namespace {

using Words = std::vector<std::string>;

constexpr const char* k_nonce = "0123456789abcdef";
constexpr std::size_t k_most_words = 6;

/// Files of this process in memory, where there is such a place.
std::string file(const char* name) {
    static const std::string folder = [] {
        std::string path = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        path += "/lockstep-quoting-XXXXXX";
        if (::mkdtemp(path.data()) == nullptr) {
            std::abort();
        }
        return path;
    }();
    return folder + "/" + name;
}

void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

std::string read(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

/// What a shell prints for a script that is in a file; it reads `input`.
std::string run(const std::string& shell, const std::string& script, const std::string& input) {
    const std::string text = file("script");
    const std::string in = file("in");
    const std::string out = file("out");
    write(text, script);
    write(in, input);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, in.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    std::string path = shell;
    std::string name = text;
    std::string locale = "LC_ALL=C";
    std::string programs = "PATH=/usr/bin:/bin";
    std::array<char*, 3> argv{path.data(), name.data(), nullptr};
    std::array<char*, 3> environment{locale.data(), programs.data(), nullptr};
    pid_t pid = 0;
    const int failed =
        ::posix_spawn(&pid, path.c_str(), &files, nullptr, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&files);
    int status = 0;
    while (failed == 0 && ::waitpid(pid, &status, 0) != pid) {
        if (errno != EINTR) {  // libFuzzer has a timer
            std::abort();
        }
    }
    if (failed != 0) {
        std::abort();
    }
    return read(out);
}

[[noreturn]] void complain(const std::string& shell, const char* where) {
    std::cerr << shell << ": " << where << ": what comes out is not what was put in\n"
              << read(file("script")) << "\n";
    std::abort();
}

std::string listed(const Words& words) {
    std::string text;
    for (const std::string& word : words) {
        text += word + '\0';
    }
    return text;
}

Words words_of(const std::string& input) {
    Words words(1);
    for (const char c : input) {
        if (c != '\0') {
            words.back() += c;
        } else if (words.size() == k_most_words) {
            break;
        } else {
            words.emplace_back();
        }
    }
    return words;
}

const lockstep::Template& shell_text() {
    static const lockstep::Template k_text = lockstep::Template::parse(
        "set -- ${{ list }} a${{ word }}z ${{ word }}; printf '%s\\0' \"$@\"\n", {"fuzz", 1, 1});
    return k_text;
}

std::string rendered(const Words& words) {
    const lockstep::Scope scope{{"list", lockstep::Value::List(words.begin(), words.end())},
                                {"word", lockstep::Value(words.front())}};
    const lockstep::Evaluation text = shell_text().render(scope, lockstep::Quoting::shell);
    const auto* value = std::get_if<lockstep::Value>(&text);
    return value == nullptr ? "" : value->to_text();
}

/// Plain words, words in a shell in a shell, and a text of a runbook.
void check_words(const std::string& shell, const Words& words) {
    const std::string print = "printf '%s\\0' " + lockstep::shell_join(words) + "\n";
    const std::string inner = "exec " + shell + " -c " + lockstep::shell_quote(print);
    std::string expected = listed(words) + listed(words) + listed(words);
    expected += "a" + words.front() + "z" + '\0' + words.front() + '\0';
    if (run(shell,
            print + shell + " -c " + lockstep::shell_quote(inner) + "\n" + rendered(words),
            "") != expected) {
        complain(shell, "words");
    }
}

/// As sshd has the login shell run it.
void check_login_shell(const std::string& shell, const Words& words) {
    const std::string script = "printf '%s\\0' " + lockstep::shell_join(words) + "; exit 7";
    lockstep::TrailerScanner scanner(k_nonce);
    const std::string out = scanner.feed(run(shell, lockstep::wrap_script(script, k_nonce), ""));
    if (out != listed(words) || scanner.status() != 7) {
        complain(shell, "the login shell");
    }
}

/// What the member's side has of a request in its script.
void check_request_in_script(const std::string& shell, const Words& words) {
    const lockstep::SpoolJob job{.key = "run.step.n1.1",
                                 .scope = words.front(),
                                 .fence = 7,
                                 .command = {.script = lockstep::shell_join(words)}};
    const auto request = lockstep::in_script(lockstep::make_request(job, k_nonce, {"me", 3}, 0));
    if (!request) {
        return;  // too long
    }
    const std::string script = "set -- " + *request + "\nprintf '%s\\0' \"$2\" \"$5\" \"${14}\"\n";
    if (run(shell, script, "") != listed({k_nonce, job.key, job.command.script + "\n"})) {
        complain(shell, "a request in a script");
    }
}

/// What the member's side reads of a request, by the same words and sizes.
void check_request(const std::string& shell, const Words& words) {
    const lockstep::SpoolJob job{
        .key = "run.step.n1.1",
        .scope = words.front(),
        .fence = 7,
        .command = {.script = lockstep::shell_join(words), .stdin_data = listed(words)}};
    const std::string request =
        lockstep::on_stdin(lockstep::make_request(job, k_nonce, {"me", 3}, 0), k_nonce);
    constexpr const char* k_receive = R"sh(
read -r magic nonce me number key scope fence attach limit stream sent cmd_size in_size
printf '%s\0' "$nonce" "$key" "$scope" "$fence"
dd bs="$cmd_size" count=1 iflag=fullblock 2>/dev/null
[ "$in_size" -eq 0 ] || dd bs="$in_size" count=1 iflag=fullblock 2>/dev/null
read -r last
printf '%s' "$last"
)sh";
    const Words header{k_nonce, job.key, lockstep::member_file_name(job.scope), "7"};
    if (run(shell, k_receive, request) !=
        listed(header) + job.command.script + "\n" + job.command.stdin_data + "end " + k_nonce) {
        complain(shell, "a request");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::array<std::string, 3> k_shells{"/bin/sh", "/bin/dash", "/bin/bash"};
    static std::size_t turn = 0;
    const Words words = words_of(std::string(data, data + size));
    for (const std::string& shell : k_shells) {
        check_words(shell, words);
    }
    const std::string& shell = k_shells[++turn % k_shells.size()];  // each costs a process or two
    check_login_shell(shell, words);
    check_request(shell, words);
    check_request_in_script(shell, words);
    return 0;
}
