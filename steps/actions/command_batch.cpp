#include "steps/actions/command_batch.hpp"

#include "base/shell_quote.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lockstep {

namespace {

// The file has no name any more once the commands begin, so nothing stays whatever ends them. 9
// reads it from where it was last read. `test` follows /proc/self/fd to the file itself, and spares
// the fork of a `cat` as long as nothing was said.
constexpr const char* k_prelude = R"sh(
kept=$(mktemp) || exit 71
exec 8>"$kept" 9<"$kept"
rm -f "$kept"
ended() {
  printf '\036%s out %d\036\n' "$nonce" "$1"
  if [ -s /proc/self/fd/9 ]; then cat <&9; fi
  printf '\036%s err\036\n' "$nonce"
}
)sh";

constexpr std::string_view k_end = "\036\n";

}  // namespace

std::string render(const std::vector<BatchedCommand>& commands, const std::string& nonce) {
    std::string text = "nonce=" + nonce + k_prelude;
    for (const BatchedCommand& command : commands) {
        text += "/bin/sh -c " + shell_quote(command.script) + " </dev/null 2>&8 8>&- 9<&-\n" +
                "status=$?\nended \"$status\"\n";
        if (command.goes_on) {
            continue;
        }
        std::string good;
        for (const int status : command.good) {
            good += (good.empty() ? "" : "|") + std::to_string(status);
        }
        text += "case $status in " + good + ") ;; *) exit 0 ;; esac\n";
    }
    return text + "exit 0\n";
}

BatchReader::BatchReader(std::string_view nonce, Take take)
    : mark_("\036" + std::string(nonce) + " "), take_(std::move(take)) {}

void BatchReader::feed(std::string_view piece) {
    rest_ += piece;
    while (cut()) {
    }
    // What may be the beginning of a mark is kept for the next piece.
    const std::size_t mark = rest_.find(mark_);
    std::size_t length = mark == std::string::npos ? rest_.size() : mark;
    if (mark == std::string::npos) {
        const std::size_t from = rest_.size() - std::min(rest_.size(), mark_.size() - 1);
        for (std::size_t at = from; at < rest_.size(); ++at) {
            if (mark_.starts_with(std::string_view(rest_).substr(at))) {
                length = at;
                break;
            }
        }
    }
    (in_err_ ? err_ : out_).append(std::string_view(rest_).substr(0, length));
    rest_.erase(0, length);
}

/// One complete mark and what is before it; false: there is none.
bool BatchReader::cut() {
    const std::size_t mark = rest_.find(mark_);
    const std::size_t end = mark == std::string::npos ? mark : rest_.find(k_end, mark + 1);
    if (end == std::string::npos) {
        return false;
    }
    (in_err_ ? err_ : out_).append(std::string_view(rest_).substr(0, mark));
    const std::string_view said =
        std::string_view(rest_).substr(mark + mark_.size(), end - mark - mark_.size());
    if (said.starts_with("out ")) {
        std::from_chars(said.data() + 4, said.data() + said.size(), status_);
        in_err_ = true;
    } else {
        CommandResult result;
        result.exit_status = std::exchange(status_, -1);
        result.out_truncated = out_.truncated();
        result.err_truncated = err_.truncated();
        result.out = std::exchange(out_, CappedText(k_default_output_limit)).take();
        result.err = std::exchange(err_, CappedText(k_default_output_limit)).take();
        in_err_ = false;
        take_(number_++, std::move(result));
    }
    rest_.erase(0, end + k_end.size());
    return true;
}

}  // namespace lockstep
