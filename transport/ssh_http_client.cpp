#include "transport/ssh_http_client.hpp"

#include "base/error.hpp"
#include "base/text.hpp"
#include "transport/curl_transfer.hpp"
#include "transport/encoding.hpp"
#include "transport/exec_trailer.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <string_view>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;

constexpr std::size_t k_longest_body = std::size_t{8} << 20;
constexpr std::size_t k_room_for_header = std::size_t{64} << 10;
// Longer than what curl is given: what ends is curl, which says how far it got.
constexpr std::chrono::milliseconds k_margin{1'000};

/// A value in a file of curl's options (curl(1), "--config").
std::string quoted(std::string_view value) {
    std::string text = "\"";
    for (const char c : value) {
        switch (c) {
            case '\\':
                text += "\\\\";
                break;
            case '"':
                text += "\\\"";
                break;
            case '\n':
                text += "\\n";
                break;
            case '\r':
                text += "\\r";
                break;
            case '\t':
                text += "\\t";
                break;
            case '\0':
                throw Error("a request with a NUL byte cannot be sent through curl");
            default:
                text += c;
        }
    }
    return text + "\"";
}

std::string option(std::string_view name, std::string_view value) {
    return std::string(name) + " = " + quoted(value) + "\n";
}

/// A file of this machine that curl there reads from a descriptor.
struct Handed {
    std::string option;  ///< cacert, cert, key
    int descriptor = 0;
    std::string text;
};

std::string read_pem(const std::string& path, const char* what) {
    std::ifstream stream(path, std::ios::binary);
    std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream || text.empty()) {
        throw TransportError(Kind::connect,
                             std::string(what) + " " + path + " cannot be read",
                             "Check that it is a readable PEM file of this machine.");
    }
    return text;
}

/// Each from a descriptor of its own, also a key that is in the certificate's file: curl opens that
/// twice, and a pipe can be read once.
std::vector<Handed> files_of(const HttpSettings& settings) {
    std::vector<Handed> files;
    int descriptor = 4;
    const auto add = [&](const char* name, const std::string& path, const char* what) {
        files.push_back({name, descriptor++, read_pem(path, what)});
    };
    if (!settings.ca_file.empty() && settings.verify) {
        add("cacert", settings.ca_file, "ca_file");
    }
    if (!settings.cert_file.empty()) {
        const std::string& key = settings.key_file;
        add("cert", settings.cert_file, "cert_file");
        add("key", key.empty() ? settings.cert_file : key, "key_file");
    }
    return files;
}

std::string end_mark(std::string_view nonce) {
    return "\n@" + std::string(nonce) + " ";
}

std::string options_of(const HttpRequest& request,
                       const HttpSettings& settings,
                       const std::vector<Handed>& files,
                       std::chrono::milliseconds time) {
    const bool has_body = request.body || request.method == "POST" || request.method == "PUT" ||
                          request.method == "PATCH";
    std::string text =
        "silent\nshow-error\ninclude\nhttp1.1\ngloboff\nconnect-timeout = 3\n"
        "noproxy = \"*\"\n" +
        option("proto", "=http,https") + option("url", request.url) + "max-time = " +
        std::to_string(std::max<long>(1, std::chrono::ceil<std::chrono::seconds>(time).count())) +
        "\n";
    text += request.method == "HEAD" ? "head\n" : option("request", request.method);
    text += settings.verify ? "" : "insecure\n";
    for (const Handed& file : files) {
        text += option(file.option, "/dev/fd/" + std::to_string(file.descriptor));
    }
    if (!settings.username.empty() && !request.anonymous) {
        const std::string password = settings.password ? settings.password->reveal() : "";
        text += "basic\n" + option("user", settings.username + ":" + password);
    }
    text += option("header", "Expect:");
    if (has_body) {
        text += request.has_header("Content-Type")
                    ? std::string()
                    : option("header", "Content-Type: application/json");
        const std::string body = request.body.value_or("");
        // curl takes an empty value for none, and without a length Patroni answers 411.
        text += body.empty() ? option("header", "Content-Length: 0") : option("data-raw", body);
    }
    for (const auto& [name, value] : request.headers) {
        std::string line = name;
        line += ": ";
        line += value;
        text += option("header", line);
    }
    return text;
}

// What `ask` is given is more options. 7: nothing listens there, so nothing was sent.
constexpr const char* k_take = R"sh(export LC_ALL=C
say() { printf '\n@%s %s\n' "$nonce" "$*"; }
command -v curl >/dev/null 2>&1 || { say no-curl; exit 0; }
take() { dd bs="$1" count=1 iflag=fullblock 2>/dev/null; }
)sh";
constexpr const char* k_curl = R"sh(printf '%s\n' "$options" "$@" | curl --disable --config -
)sh";
constexpr const char* k_ask = R"sh(ask; status=$?
if [ $status = 7 ]; then
  ask 'connect-to = "::127.0.0.1:"'; again=$?
  [ $again = 7 ] || status=$again
fi
say ended $status
)sh";

/// Reads curl's options and the files from stdin, in pieces of these sizes.
std::string script_of(const std::vector<Handed>& files,
                      std::size_t options,
                      std::string_view nonce) {
    std::string read = "options=$(take " + std::to_string(options) + ")\n";
    std::string before;
    std::string after;
    for (const Handed& file : files) {
        const std::string number = std::to_string(file.descriptor);
        read += "file" + number + "=$(take " + std::to_string(file.text.size()) + ")\n";
        before += "printf '%s\\n' \"$file" + number + "\" | { exec " + number + "<&0\n";
        after += " }";
    }
    std::string text = "nonce=";
    text += nonce;
    text += "\n";
    text += k_take + read + "ask() {\n" + before + k_curl + after + "\n}\n";
    return text + k_ask;
}

/// curl's own word for a code, else whatever was printed first.
std::string error_of(std::string_view err, long code) {
    const std::size_t at = err.find("curl: (" + std::to_string(code) + ")");
    std::string_view text = at == std::string_view::npos ? err : err.substr(at);
    text = text.substr(0, text.find('\n'));
    const std::size_t end = at == std::string_view::npos ? 0 : text.find(") ");
    return std::string(end == std::string_view::npos || end == 0 ? text : text.substr(end + 2));
}

long number_at(std::string_view text) {
    long number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// The value of a header field; its name is in lower case.
std::string field_of(std::string_view head, std::string_view name) {
    while (!head.empty()) {
        const std::size_t end = head.find('\n');
        std::string line(head.substr(0, end));
        head.remove_prefix(end == std::string_view::npos ? head.size() : end + 1);
        const std::size_t colon = line.find(':');
        if (colon == std::string::npos || lower(line.substr(0, colon)) != name) {
            continue;
        }
        const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
        line.erase(line.find_last_not_of(" \t\r") + 1);
        return begin == std::string::npos || begin >= line.size() ? "" : line.substr(begin);
    }
    return {};
}

class SshHttpClient final : public HttpClient {
  public:
    SshHttpClient(std::unique_ptr<SshSession> session, HttpSettings settings)
        : session_(std::move(session)), settings_(std::move(settings)) {}

    HttpResponse send(const HttpRequest& request, Deadline deadline, std::stop_token stop) override;

  private:
    [[noreturn]] void fail(const HttpRequest& request,
                           Kind kind,
                           const std::string& reason,
                           std::string hint = {}) const {
        throw TransportError(
            kind,
            request.method + " " + request.url + " by curl on " + session_->peer() + ": " + reason,
            std::move(hint));
    }

    [[nodiscard]] HttpResponse read(const HttpRequest& request,
                                    const CommandResult& result,
                                    const std::string& mark) const;

    std::unique_ptr<SshSession> session_;
    HttpSettings settings_;
};

HttpResponse SshHttpClient::send(const HttpRequest& request,
                                 Deadline deadline,
                                 std::stop_token stop) {
    const std::string nonce = random_hex(k_nonce_bytes);
    const std::vector<Handed> files = files_of(settings_);
    const std::string options = options_of(request, settings_, files, deadline.remaining()) +
                                "write-out = \"\\n@" + nonce +
                                " %{http_code} %{size_request}\\n\"\n";
    RemoteCommand command;
    command.script = script_of(files, options.size(), nonce);
    command.stdin_data = options;
    for (const Handed& file : files) {
        command.stdin_data += file.text;
    }
    command.output_limit = k_longest_body + k_room_for_header;
    try {
        const CommandResult result =
            session_->run(command, Deadline(deadline.at() + k_margin), std::move(stop));
        return read(request, result, end_mark(nonce));
    } catch (const TransportError& error) {
        if (std::string_view(error.what()).starts_with(request.method + " ")) {
            throw;
        }
        throw TransportError(error.kind(),
                             request.method + " " + request.url + " over SSH: " + error.what(),
                             error.hint());
    }
}

/// `HEAD BODY @nonce STATUS SENT @nonce ended CODE`, the first three twice where it was asked
/// twice.
HttpResponse SshHttpClient::read(const HttpRequest& request,
                                 const CommandResult& result,
                                 const std::string& mark) const {
    std::string_view out = result.out;
    if (result.out_truncated) {
        fail(request,
             Kind::protocol,
             "the answer is longer than " + std::to_string(k_longest_body) + " bytes");
    }
    if (out.find(mark + "no-curl") != std::string_view::npos) {
        fail(request,
             Kind::connect,
             "there is no curl on the member",
             "Install curl there, or set patroni.via: direct in the inventory.");
    }
    const std::size_t ended = out.rfind(mark + "ended ");
    const std::size_t told = ended == std::string_view::npos || ended == 0
                                 ? std::string_view::npos
                                 : out.rfind(mark, ended - 1);
    if (told == std::string_view::npos) {
        fail(request, Kind::lost, "it ended without a word: " + error_of(result.err, 0));
    }
    const std::string_view words = out.substr(told + mark.size(), ended - told - mark.size());
    const long sent = number_at(words.substr(std::min(words.find(' ') + 1, words.size())));
    const auto code = static_cast<CURLcode>(number_at(out.substr(ended + mark.size() + 6)));
    if (code != CURLE_OK) {
        const std::string reason = error_of(result.err, code);
        const bool shows_certificate = !settings_.cert_file.empty();
        fail(request,
             curl::kind_of(code, sent > 0),
             reason.empty() ? "curl ended with " + std::to_string(code) : reason,
             curl::hint_for(code, reason, request.url, shows_certificate));
    }
    out = out.substr(0, told);
    if (const std::size_t before = out.find(mark); before != std::string_view::npos) {
        out.remove_prefix(std::min(out.find('\n', before + 1), out.size() - 1) + 1);
    }
    HttpResponse response;
    std::string_view head;
    do {  // 100 Continue and its like come before the answer
        const std::size_t end = out.find("\r\n\r\n");
        head = out.substr(0, end);
        const std::size_t blank = head.find(' ');
        response.status = blank == std::string_view::npos ? 0 : number_at(head.substr(blank + 1));
        out.remove_prefix(end == std::string_view::npos ? out.size() : end + 4);
    } while (response.status >= 100 && response.status < 200);
    if (!head.starts_with("HTTP/") || response.status == 0) {
        fail(request, Kind::protocol, "the answer has no status");
    }
    response.content_type = field_of(head, "content-type");
    const std::string date = field_of(head, "date");
    response.date = std::max<std::int64_t>(::curl_getdate(date.c_str(), nullptr), 0);
    response.body = std::string(out);
    return response;
}

}  // namespace

std::unique_ptr<HttpClient> make_ssh_http_client(std::unique_ptr<SshSession> session,
                                                 HttpSettings settings) {
    return std::make_unique<SshHttpClient>(std::move(session), std::move(settings));
}

}  // namespace lockstep
