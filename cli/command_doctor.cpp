#include "cli/commands.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

namespace {

struct Row {
    std::string member;
    std::string way;
    const Access* access = nullptr;
};

nlohmann::json to_json(const Row& row) {
    return {{"member", row.member.empty() ? nlohmann::json(nullptr) : nlohmann::json(row.member)},
            {"way", row.way},
            {"ok", row.access->ok()},
            {"error", row.access->error},
            {"hint", row.access->hint}};
}

void print(const std::vector<Row>& rows, const Terminal& terminal) {
    Table table({"MEMBER", "WAY", "RESULT"});
    std::string details;
    for (const Row& row : rows) {
        const bool ok = row.access->ok();
        const std::string member = row.member.empty() ? "(cluster)" : row.member;
        table.add({member, row.way, ok ? "ok" : "FAILED"},
                  {Tone::strong, Tone::plain, ok ? Tone::good : Tone::bad});
        if (!ok) {
            details += "\n  " + one_line(member) + ", " + row.way + ":\n      " +
                       wrap(row.access->asked ? row.access->error : "was not asked", 6) + "\n";
            if (!row.access->hint.empty()) {
                details += "      HINT: " + wrap(row.access->hint, 12) + "\n";
            }
        }
    }
    std::cout << table.text(terminal) << details;
}

}  // namespace

int command_doctor(const Options& options, Interrupts& interrupts) {
    Workplace place(options);
    const ClusterFacts facts = place.runner.observe(true, interrupts.token());
    Access write{.asked = true, .error = facts.patroni_write_error, .hint = {}};
    if (facts.patroni_write_refused && write.error.empty()) {
        write.error = "refused";
    }
    if (!write.error.empty()) {
        write.hint =
            "Check `patroni.username` and `patroni.password` of the inventory, and "
            "`restapi.allowlist` of Patroni.";
    }
    std::vector<Row> rows;
    for (const MemberFacts& member : facts.members) {
        rows.push_back({member.name, "REST API, reading", &member.api});
        rows.push_back({member.name, "SSH", &member.ssh});
        rows.push_back({member.name, "SQL", &member.sql});
    }
    rows.push_back({"", "REST API, changing", &write});
    bool good = true;
    nlohmann::json list = nlohmann::json::array();
    for (const Row& row : rows) {
        good = good && row.access->ok();
        list.push_back(to_json(row));
    }
    if (options.output == Output::text) {
        print(rows, Terminal::on(STDOUT_FILENO));
    } else {
        std::cout << nlohmann::json{{"cluster", facts.name}, {"ways", list}}.dump(2) << "\n";
    }
    return good ? 0 : 16;
}

}  // namespace lockstep
