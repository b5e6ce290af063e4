#include "engine/runbook/language.hpp"

namespace lockstep::language {

namespace {

using enum Kind;
constexpr Shape::Many k_list = Shape::Many::list;
constexpr Shape::Many k_map = Shape::Many::map;

// One function for each place.

Place runbook_place() {  // NOLINT(readability-function-size): it is data
    return {
        "runbook",
        "A file: what is to be done, in which order, and what must hold meanwhile.",
        {{.name = "runbook",
          .shapes = {{name}},
          .description = "Its name, in plans and records. Lower case letters, digits, _ and -.",
          .example = "runbook: patroni-upgrade",
          .required = true},
         {.name = "summary",
          .shapes = {{text}},
          .description = "What it does, in one line.",
          .example = "summary: One Patroni version on every member"},
         {.name = "inputs",
          .shapes = {{keys, "input", k_map}},
          .description = "What whoever runs it gives by `--set name=value`; `inputs.NAME` in "
                         "expressions. One that is not given and has no default is null.",
          .example = "inputs: {target: {type: version, required: true}}"},
         {.name = "vars",
          .shapes = {{any, {}, k_map}},
          .description = "Values worked out once, when the plan is made; `vars.NAME` in "
                         "expressions. Each may use those before it.",
          .example = "vars: {label: \"upgrade to ${{ inputs.target }}\"}"},
         {.name = "defaults",
          .shapes = {{keys, "defaults"}},
          .description = "What holds for every step that does not say otherwise.",
          .example = "defaults: {timeout: 5m}"},
         {.name = "heals",
          .shapes = {{finding, {}, k_list}},
          .description = "The findings that it is there to cure, as `id` or `id:subject`: they do "
                         "not block its start, and those that were there must be gone at the end.",
          .example = "heals: [patroni.mixed_versions, slot.stuck]"},
         {.name = "guards",
          .shapes = {{guard, {}, k_list}},
          .description = "What must hold all the way. It is looked at before each change and at "
                         "the end.",
          .example = "guards: [leader_unchanged, {disk_above: {free: 10%}}]"},
         {.name = "steps",
          .shapes = {{keys, "step", k_list}},
          .description = "What is done, in order.",
          .example = "steps: [{id: pause, uses: patroni.pause}]",
          .required = true},
         {.name = "on_failure",
          .shapes = {{words}},
          .description = "What a failure leads to unless the step says otherwise. `rollback`: what "
                         "was done is undone, newest first.",
          .example = "on_failure: rollback",
          .otherwise = "stop",
          .words = {"stop", "rollback"}},
         {.name = "always",
          .shapes = {{keys, "step", k_list}},
          .description =
              "Steps that are done at the end whatever came of the rest: after a success, "
              "a failure or a rollback, not while the run only waits or was "
              "interrupted. One that fails does not keep the next from being done.",
          .example = "always: [{id: told, uses: notify, with: {message: over}}]"},
         {.name = "notify",
          .shapes = {{keys, "notification", k_list}},
          .description = "Who is told of what.",
          .example = "notify: [{on: [failure, end], to: [ops]}]"},
         {.name = "allow_drift",
          .shapes = {{words, {}, k_list}},
          .description = "Facts that may move between a saved plan and its run, as long as no step "
                         "becomes another one by it.",
          .example = "allow_drift: [lag, inventory]",
          .words = {"lag", "leader", "roles", "versions", "members", "paused", "inventory"}},
         {.name = "window",
          .shapes = {{keys, "window"}},
          .description = "When it may change something. Outside of it nothing is begun, and a step "
                         "that does not fit into what is left of it is not started.",
          .example = "window: {time_zone: Europe/Berlin, weekly: [{days: [sat], from: \"22:00\", "
                     "for: 4h}]}"}}};
}

Place input_place() {
    return {
        "input",
        "One value that whoever runs the runbook gives.",
        {{.name = "type",
          .shapes = {{words}},
          .description = "What it is. A `secret` is named, never given: `env:NAME`, `file:PATH`.",
          .example = "type: version",
          .otherwise = "string",
          .words =
              {"string", "int", "bool", "version", "duration", "bytes", "enum", "list", "secret"}},
         {.name = "required",
          .shapes = {{boolean}},
          .description = "There is no plan without it.",
          .example = "required: true",
          .otherwise = "false"},
         {.name = "default",
          .shapes = {{any}},
          .description = "Its value where none is given: a constant of its type.",
          .example = "default: 10m"},
         {.name = "description",
          .shapes = {{text}},
          .description = "What it is for. Shown where it is missing or does not fit.",
          .example = "description: The version that every member gets"},
         {.name = "pattern",
          .shapes = {{text}},
          .description = "A regular expression (RE2) that the whole text must match; each element "
                         "of a list. For the types string, version and list.",
          .example = "pattern: '[a-z]+'"},
         {.name = "values",
          .shapes = {{text, {}, k_list}},
          .description = "Of an enum: the texts that it may be.",
          .example = "values: [fast, careful]"}}};
}

Place defaults_place() {
    return {"defaults",
            "What holds for every step that does not say otherwise.",
            {{.name = "timeout",
              .shapes = {{duration}},
              .description = "How long a step may take.",
              .example = "timeout: 5m"},
             {.name = "retry",
              .shapes = {{keys, "retry"}},
              .description = "How often a step that failed is tried again.",
              .example = "retry: {attempts: 3}"}}};
}

Place retry_place() {
    return {"retry",
            "How a step that failed is tried again. Only what is safe to repeat is repeated, and "
            "nothing whose outcome is unknown.",
            {{.name = "attempts",
              .shapes = {{integer}},
              .description = "How often in all, with the first.",
              .example = "attempts: 3",
              .otherwise = "1",
              .least = 1,
              .most = 100},
             {.name = "delay",
              .shapes = {{duration}},
              .description = "Time before the second attempt.",
              .example = "delay: 5s",
              .otherwise = "1s"},
             {.name = "backoff",
              .shapes = {{number}},
              .description = "Each delay is the one before times this. The last must not be longer "
                             "than a day.",
              .example = "backoff: 2",
              .otherwise = "1",
              .least = 1,
              .most = 100}}};
}

Place strategy_place() {
    return {
        "strategy",
        "How a step or block is spread over the members it runs on.",
        {{.name = "batch",
          .shapes = {{batch}, {batch, {}, k_list}, {expression}},
          .description = "How many members at once: a number, a part of them, or all, or an "
                         "expression over `inputs` and `vars` that gives one of these. Of a "
                         "list, the last element repeats.",
          .example = "batch: [1, 50%]",
          .otherwise = "1"},
         {.name = "order",
          .shapes = {{words}, {expression}},
          .description = "Which member comes first: a word, or an expression over `member`, the "
                         "smallest first.",
          .example = "order: lag_desc",
          .otherwise = "name",
          .words = {"name", "lag_asc", "lag_desc", "leader_last"}},
         {.name = "max_failed",
          .shapes = {{integer}},
          .description = "More failed members than this stop the run.",
          .example = "max_failed: 1",
          .otherwise = "0",
          .most = 100'000},
         {.name = "max_unreachable",
          .shapes = {{integer}},
          .description = "More members than this that could not be reached stop the run.",
          .example = "max_unreachable: 1",
          .otherwise = "0",
          .most = 100'000}}};
}

Place call_place() {
    return {"call",
            "An action inside a step: an entry of its `undo`, or its `verify`. It works on the "
            "step's member.",
            {{.name = "uses",
              .shapes = {{action}},
              .description = "The action.",
              .example = "uses: service.start",
              .required = true},
             {.name = "with",
              .shapes = {{arguments}},
              .description = "Its arguments.",
              .example = "with: {service: pgbouncer}"}}};
}

Place approval_place() {
    return {"approval",
            "Who has to say yes, by `lockstep approve`. It is bound to the plan of the run.",
            {{.name = "count",
              .shapes = {{integer}},
              .description = "How many different people.",
              .example = "count: 2",
              .otherwise = "1",
              .least = 1,
              .most = 100},
             {.name = "from",
              .shapes = {{text}, {text, {}, k_list}},
              .description = "Who may: users, `user@host`, or groups of the inventory.",
              .example = "from: [dba, anna@jump1]",
              .otherwise = "anybody who can write the state folder"},
             {.name = "not_self",
              .shapes = {{boolean}},
              .description = "Not the one who started the run.",
              .example = "not_self: false",
              .otherwise = "true; false for `manual`"},
             {.name = "expires",
              .shapes = {{duration}},
              .description = "How long after it was asked for it may be given.",
              .example = "expires: 2h",
              .otherwise = "never"},
             {.name = "on_expire",
              .shapes = {{words}},
              .description = "What comes of one that nobody gave in time.",
              .example = "on_expire: ask_again",
              .otherwise = "fail",
              .words = {"fail", "ask_again"}},
             {.name = "message",
              .shapes = {{text}},
              .description = "What is asked.",
              .example = "message: \"Is the backup of tonight there?\""}}};
}

Place window_place() {
    return {"window",
            "When something may be begun. A calendar that cannot be read makes it closed.",
            {{.name = "time_zone",
              .shapes = {{text}},
              .description = "An IANA name: the clocks that the times are by.",
              .example = "time_zone: Europe/Berlin",
              .required = true},
             {.name = "weekly",
              .shapes = {{keys, "weekly", k_list}},
              .description = "Times of every week. A window has these, a calendar, or both.",
              .example = "weekly: [{days: [sat, sun], from: \"22:00\", for: 4h}]"},
             {.name = "calendar",
              .shapes = {{text}},
              .description = "An iCalendar file, relative to the runbook's: its events are times.",
              .example = "calendar: maintenance.ics"},
             {.name = "mode",
              .shapes = {{words}},
              .description = "`open`: work is allowed inside the times; `closed`: outside of them.",
              .example = "mode: closed",
              .otherwise = "open",
              .words = {"open", "closed"}},
             {.name = "freezes",
              .shapes = {{keys, "freeze", k_list}},
              .description = "Times in which it is closed, whatever the rest says.",
              .example = "freezes: [{from: 2026-12-20, to: 2027-01-06, because: year end}]"},
             {.name = "cutoff",
              .shapes = {{duration}},
              .description = "In this last part of it nothing is started.",
              .example = "cutoff: 30m",
              .otherwise = "0s"}}};
}

Place weekly_place() {
    return {"weekly",
            "A time of every week.",
            {{.name = "days",
              .shapes = {{text}, {text, {}, k_list}},
              .description = "The days on which it begins: mon to sun, or a range such as mon-fri.",
              .example = "days: [sat, sun]",
              .otherwise = "every day"},
             {.name = "from",
              .shapes = {{text}},
              .description = "When it begins, by the clocks there. Quote it.",
              .example = "from: \"22:00\"",
              .required = true},
             {.name = "for",
              .shapes = {{duration}},
              .description = "How long it lasts, whatever the clocks do. Either this or `to`.",
              .example = "for: 4h"},
             {.name = "to",
              .shapes = {{text}},
              .description = "When it ends, by the clocks there; on the next day unless after "
                             "`from`.",
              .example = "to: \"06:00\""}}};
}

Place freeze_place() {
    return {"freeze",
            "A time in which the window is closed.",
            {{.name = "from",
              .shapes = {{text}},
              .description = "Its first day, or its begin.",
              .example = "from: 2026-12-20"},
             {.name = "to",
              .shapes = {{text}},
              .description = "Its end: the first day, or moment, that is free again.",
              .example = "to: 2027-01-06"},
             {.name = "calendar",
              .shapes = {{text}},
              .description = "Instead of both: an iCalendar file, whose events are freezes.",
              .example = "calendar: freezes.ics"},
             {.name = "because",
              .shapes = {{text}},
              .description = "Why, for messages.",
              .example = "because: year end"}}};
}

Place notify_place() {
    return {
        "notification",
        "Who is told of what. A notification that cannot be delivered is on record, and fails "
        "nothing.",
        {{.name = "on",
          .shapes = {{words}, {words, {}, k_list}},
          .description = "The events: the run starts, waits for a window, asks for an approval, "
                         "fails, is slower than usual, is over.",
          .example = "on: [approval, failure, end]",
          .words = {"start", "wait", "approval", "failure", "slow", "end"},
          .required = true},
         {.name = "to",
          .shapes = {{text}, {text, {}, k_list}},
          .description = "Targets of the inventory's `notify`.",
          .example = "to: [ops]",
          .otherwise = "all of them"}}};
}

Place register_place() {
    return {"register",
            "What a step keeps of its output for the expressions of later steps.",
            {{.name = "name",
              .shapes = {{name}},
              .description = "`steps.NAME`.",
              .example = "name: versions",
              .required = true},
             {.name = "as",
              .shapes = {{words}},
              .description = "How the output is read: stdout of a command, the body of an answer.",
              .example = "as: lines",
              .otherwise = "a map, as the action gives it",
              .words = {"text", "lines", "json"}},
             {.name = "select",
              .shapes = {{expression}},
              .description = "The part of it that is kept: an expression over `result`.",
              .example = "select: result.items[0].name"}}};
}

std::vector<Key> what_a_step_is() {
    return {{.name = "id",
             .shapes = {{name}},
             .description = "What plans, records and a resume know the step by; `block.step` "
                            "inside a block. Unique among its siblings, and stable.",
             .example = "id: restart_replicas",
             .required = true},
            {.name = "name",
             .shapes = {{text}},
             .description = "A label for people.",
             .example = "name: Restart the replicas",
             .otherwise = "its id"},
            {.name = "uses",
             .shapes = {{action}},
             .description = "The action. A step has either this or `steps`.",
             .example = "uses: package.install"},
            {.name = "with",
             .shapes = {{arguments}},
             .description = "The arguments of the action.",
             .example = "with: {package: patroni, version: 4.0.7-1}",
             .actions_only = true},
            {.name = "steps",
             .shapes = {{keys, "step", k_list}},
             .description = "The steps of a block. Under `on`, each member goes through all of "
                            "them before the next one does.",
             .example = "steps: [{id: stop, uses: service.stop, with: {service: pgbouncer}}]"}};
}

std::vector<Key> where_and_when_a_step_runs() {
    return {
        {.name = "on",
         .shapes = {{text}},
         .description = "The members it runs on: leader, replicas, sync, members, a member's "
                        "name, or an expression over `member`.",
         .example = "on: replicas"},
        {.name = "strategy",
         .shapes = {{keys, "strategy"}},
         .description = "How it is spread over the members.",
         .example = "strategy: {batch: 1, order: lag_desc}"},
        {.name = "when",
         .shapes = {{expression}},
         .description = "False: the step is skipped.",
         .example = "when: inputs.drop_slots != null"},
        {.name = "for_each",
         .shapes = {{expression}},
         .description = "A list. The step runs once for each element, which is `item`.",
         .example = "for_each: inputs.drop_slots"},
        {.name = "retry",
         .shapes = {{keys, "retry"}},
         .description = "How it is tried again when it failed.",
         .example = "retry: {attempts: 3, delay: 5s}",
         .actions_only = true},
        {.name = "timeout",
         .shapes = {{duration}},
         .description = "How long it may take.",
         .example = "timeout: 2m",
         .actions_only = true},
        {.name = "until",
         .shapes = {{expression}},
         .description = "A success counts only once this is true; until then it is tried again, "
                        "as `retry` says. `result` is what the step registers.",
         .example = "until: result.stdout == 'ready'",
         .actions_only = true},
        {.name = "needs",
         .shapes = {{text}, {text, {}, k_list}},
         .description = "The steps before it in its list that must be over; it may run beside "
                        "the others. [] waits for none.",
         .example = "needs: [drain]",
         .otherwise = "all that stand before it"},
        {.name = "estimate",
         .shapes = {{duration}},
         .description = "How long it is expected to take, where no earlier run on the cluster "
                        "tells.",
         .example = "estimate: 30s",
         .otherwise = "the action's",
         .actions_only = true},
        {.name = "approval",
         .shapes = {{keys, "approval"}},
         .description = "Somebody has to say yes before it starts. Once for the step or block, "
                        "on whatever members it runs; `uses: approve` asks on each.",
         .example = "approval: {from: [dba], expires: 2h}"},
        {.name = "register",
         .shapes = {{name}, {keys, "register"}},
         .description = "Its output is `steps.NAME` in the expressions of later steps.",
         .example = "register: {name: versions, as: lines}",
         .actions_only = true}};
}

std::vector<Key> what_becomes_of_a_step() {
    return {{.name = "on_failure",
             .shapes = {{words}},
             .description = "What its failure leads to.",
             .example = "on_failure: continue",
             .otherwise = "the runbook's",
             .words = {"stop", "continue", "rollback"},
             .actions_only = true},
            {.name = "undo",
             .shapes = {{words}, {keys, "call", k_list}},
             .description = "What takes the step back, worked off in its order; or `none`, for "
                            "what needs no taking back. Its arguments are worked out before the "
                            "step acts.",
             .example = "undo: [{uses: service.start, with: {service: pgbouncer}}]",
             .otherwise = "the action's own",
             .words = {"none"},
             .actions_only = true},
            {.name = "verify",
             .shapes = {{expression}, {keys, "call"}},
             .description = "Whether its effect is in place: an expression, or an action that "
                            "changes nothing.",
             .example = "verify: member.state == 'streaming'",
             .otherwise = "what the action itself sees",
             .actions_only = true},
            {.name = "in_doubt",
             .shapes = {{words}},
             .description = "What is done when it was started and its outcome is not known.",
             .example = "in_doubt: ask",
             .otherwise = "verify",
             .words = {"verify", "retry", "ask", "fail"},
             .actions_only = true},
            {.name = "point_of_no_return",
             .shapes = {{boolean}, {text}},
             .description = "There is no way back once the step was started: true, or the reason "
                            "in words.",
             .example = "point_of_no_return: the old version cannot read the new format",
             .otherwise = "false",
             .actions_only = true}};
}

Place step_place() {
    Place step{"step", "One action, or a block of steps.", what_a_step_is()};
    for (const auto& keys : {where_and_when_a_step_runs(), what_becomes_of_a_step()}) {
        step.keys.insert(step.keys.end(), keys.begin(), keys.end());
    }
    step.keys.push_back(
        {.name = "window",
         .shapes = {{keys, "window"}},
         .description = "When it may be begun, besides the runbook's own window.",
         .example = "window: {time_zone: UTC, weekly: [{from: \"01:00\", for: 2h}]}"});
    return step;
}

}  // namespace

const std::vector<Place>& places() {
    static const std::vector<Place> k_places{runbook_place(),
                                             input_place(),
                                             defaults_place(),
                                             step_place(),
                                             strategy_place(),
                                             retry_place(),
                                             call_place(),
                                             approval_place(),
                                             window_place(),
                                             weekly_place(),
                                             freeze_place(),
                                             notify_place(),
                                             register_place()};
    return k_places;
}

const Place& place(std::string_view name) {
    return find_place(places(), name);
}

}  // namespace lockstep::language
