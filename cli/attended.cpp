#include "cli/attended.hpp"

#include "cli/progress.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <iostream>
#include <memory>
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
    const RunEnd end = [&] {
        interrupts_.on_second([this] { runner_.cancel_all(); });
        // Also where the work ends by an exception: the runner does not outlive it.
        const std::shared_ptr<void> no_more(nullptr, [this](void*) { interrupts_.on_second({}); });
        return work(listener);
    }();
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
