#pragma once

#include "tests/fakes/fake_ssh.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

namespace lockstep {

/// What a member's spool was asked, and its answers.
struct SpoolQuestion {
    std::string nonce;
    std::string process;
    std::uint64_t number = 0;
    std::string key;
    std::string scope;
    std::string fence;
    bool attach_only = false;
    std::string sent;  ///< bytes of stdout that are here already
    RemoteCommand command;

    /// Whether the command is a question to the spool at all.
    static bool is_in(const RemoteCommand& sent) {
        return sent.stdin_data.starts_with("lockstep-spool ");
    }

    explicit SpoolQuestion(const RemoteCommand& question) {
        const std::size_t end = question.stdin_data.find('\n');
        std::istringstream words(question.stdin_data.substr(0, end));
        std::string magic;
        std::string attach;
        std::string stream;
        std::size_t limit = 0;
        std::size_t text = 0;
        std::size_t input = 0;
        words >> magic >> nonce >> process >> number >> key >> scope >> fence >> attach >> limit >>
            stream >> sent >> text >> input;
        EXPECT_TRUE(words) << question.stdin_data.substr(0, end);
        attach_only = attach == "1";
        // A line end was added to the script.
        command.script = question.stdin_data.substr(end + 1, text == 0 ? 0 : text - 1);
        command.stdin_data = question.stdin_data.substr(end + 1 + text, input);
        command.output_limit = limit - 1;
    }

    [[nodiscard]] std::string line(const std::string& words) const {
        return "\n@" + nonce + " " + words + "\n";
    }

    [[nodiscard]] std::string ended(const CommandResult& result) const {
        return line("out") + result.out + line("err") + result.err +
               line("ended " + std::to_string(result.exit_status));
    }
};

/// A host that spools: `inner` gets each job's own script and stdin once, and all else as it comes.
/// What it throws is what the connection does; the job has then not begun.
inline FakeSsh::Host spooled(FakeSsh::Host inner) {
    const auto results = std::make_shared<std::map<std::string, CommandResult>>();
    return [inner = std::move(inner), results](const RemoteCommand& sent) {
        if (!SpoolQuestion::is_in(sent)) {
            return inner(sent);
        }
        const SpoolQuestion question(sent);
        CommandResult answer;
        answer.out = question.line("here");
        auto found = results->find(question.key);
        const bool fresh = found == results->end();
        if (fresh && question.attach_only) {
            answer.out += question.line("absent boot-1 there was nothing");
            return answer;
        }
        if (fresh) {
            found = results->emplace(question.key, inner(question.command)).first;
        }
        answer.out +=
            question.line(std::string("accepted boot-1 4711 ") + (fresh ? "fresh" : "adopted")) +
            question.ended(found->second);
        return answer;
    };
}

}  // namespace lockstep
