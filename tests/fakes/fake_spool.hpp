#pragma once

#include "tests/fakes/fake_ssh.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
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

    static constexpr std::string_view k_magic = "lockstep-spool ";
    static constexpr std::string_view k_in_script = "\nset -- lockstep-spool ";

    /// Whether the command is a question to the spool at all.
    static bool is_in(const RemoteCommand& sent) {
        return sent.stdin_data.starts_with(k_magic) ||
               sent.script.find(k_in_script) != std::string::npos;
    }

    explicit SpoolQuestion(const RemoteCommand& question) {
        const std::size_t in_script = question.script.find(k_in_script);
        const std::string asked =
            in_script == std::string::npos
                ? question.stdin_data
                : question.script.substr(question.script.find(k_magic, in_script));
        std::istringstream words(asked);
        std::string magic;
        std::string attach;
        std::string stream;
        std::size_t limit = 0;
        std::size_t text = 0;
        std::size_t input = 0;
        words >> magic >> nonce >> process >> number >> key >> scope >> fence >> attach >> limit >>
            stream >> sent >> text >> input;
        EXPECT_TRUE(words) << asked;
        attach_only = attach == "1";
        const auto begin = static_cast<std::size_t>(words.tellg()) + 1;
        const std::string rest =
            in_script == std::string::npos ? asked.substr(begin) : first_word(asked.substr(begin));
        // A line end was added to the script.
        command.script = rest.substr(0, text == 0 ? 0 : text - 1);
        command.stdin_data = rest.substr(text, input);
        command.output_limit = limit - 1;
    }

    /// What a shell makes of the first word of `line`, which is quoted as by shell_quote().
    static std::string first_word(const std::string& line) {
        std::string word;
        bool quoted = false;
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (line[i] == '\'') {
                quoted = !quoted;
            } else if (!quoted && line[i] == '\\') {
                word += line[++i];
            } else if (!quoted && (line[i] == ' ' || line[i] == '\n')) {
                break;
            } else {
                word += line[i];
            }
        }
        return word;
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
