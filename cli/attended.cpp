#include "cli/attended.hpp"

#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <iostream>
#include <optional>

namespace lockstep {

int Attended::run(const RunHeader& header, const std::function<RunEnd(RecordListener)>& work) {
    Progress progress(Terminal::on(STDERR_FILENO));
    std::optional<RunState> last;
    const auto listener = [&](const JournalRecord& record, const RunState& state) {
        if (options_.output == Output::jsonl) {
            print_event(record, header);
        } else {
            progress(record, state);
        }
        if (record.kind == RecordKind::run_ended) {
            last = state;
        }
    };
    interrupts_.on_second([this] { runner_.cancel_all(); });
    const RunEnd end = work(listener);
    interrupts_.on_second({});
    if (!last) {  // it did not even begin
        std::cerr << printable(end.message) << "\n" << printable(end.hint) << "\n";
    } else if (options_.output == Output::text) {
        std::cout << "\n" << summary_text(header, *last, Terminal::on(STDOUT_FILENO));
    } else if (options_.output == Output::json) {
        std::cout << json_text(to_json(header, *last), Output::json);
    }
    return end.exit_code;
}

}  // namespace lockstep
