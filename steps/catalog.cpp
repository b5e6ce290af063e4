#include "steps/catalog.hpp"

#include "cluster/finding.hpp"
#include "engine/run/guards.hpp"

#include <array>
#include <stdexcept>

namespace lockstep {

namespace {

using Make = std::unique_ptr<Action> (*)();

struct Row {
    ActionSchema schema;
    Make make;
};

// What several actions take.
const ParamSchema k_that{.name = "that",
                         .kind = ParamKind::expression,
                         .required = true,
                         .description = "What must be true, over `cluster`, `member`, `members`"};
const ParamSchema k_message{.name = "message", .description = "What to say when it is not true"};
const ParamSchema k_argv{.name = "argv",
                         .kind = ParamKind::list,
                         .required = true,
                         .description = "The command and its arguments; no shell is involved"};
const ParamSchema k_env{
    .name = "env", .kind = ParamKind::map, .description = "Variables of its environment"};
const ParamSchema k_stdin{
    .name = "stdin", .description = "What it reads; the way for secrets", .secret = true};
const ParamSchema k_local_env = [] {
    ParamSchema env = k_env;  // of a remote command it would be on its command line
    env.secret = true;
    return env;
}();
const ParamSchema k_read_only{
    .name = "read_only", .kind = ParamKind::boolean, .description = "It changes nothing"};
const ParamSchema k_package{.name = "package", .required = true, .description = "Its name"};
const ParamSchema k_service{.name = "service", .required = true, .description = "The unit"};
const ParamSchema k_slot{.name = "slot", .required = true, .description = "Its name"};
const ParamSchema k_ok_exit{.name = "ok_exit",
                            .kind = ParamKind::list,
                            .description = "Exit statuses that mean success; [0] unless given"};

const ParamSchema k_old_version{.name = "version",
                                .kind = ParamKind::version,
                                .required = true,
                                .description = "The package version that is installed"};
const ParamSchema k_also{.name = "also",
                         .kind = ParamKind::list,
                         .description = "Other packages that go with it, as name=version"};

const ParamSchema k_parameter{
    .name = "name", .required = true, .description = "Of the parameter, as in pg_settings"};
const ParamSchema k_parameter_value{
    .name = "value",
    .kind = ParamKind::any,
    .description = "A text, number or boolean; null, or nothing, removes it"};

const std::vector<OutputSchema> k_command_outputs{
    {"stdout", "What it printed"},
    {"stderr", "What it printed to stderr"},
    {"exit", "Its exit status"},
    {"truncated", "Whether more was printed than is kept"}};

const std::vector<OutputSchema> k_answer_outputs{
    {"by", "Who answered, as user@host"}, {"at", "When"}, {"comment", "What they said"}};

/// The one table of actions: a new one is a file, a line in catalog.hpp and a row here.
const std::vector<Row>& rows() {  // NOLINT(readability-function-size): it is data
    static const std::vector<Row> k_rows{
        {{.name = "check",
          .summary = "Diagnoses the cluster and refuses on what it finds",
          .scope = ActionScope::cluster,
          .gates = true,
          .estimate = std::chrono::seconds{3},
          .params = {{.name = "refuse_on",
                      .required = true,
                      .description = "The mildest finding that refuses",
                      .values = {"critical", "warning"}},
                     {.name = "ignore",
                      .kind = ParamKind::map,
                      .description = "Findings that do not refuse: id and reason"}},
          .outputs = {{"findings", "How many there are"}}},
         make_check},
        {{.name = "assert",
          .summary = "Stops unless something is true",
          .gates = true,
          .estimate = std::chrono::seconds{1},
          .params = {k_that, k_message}},
         make_assert},
        {{.name = "wait_for",
          .summary = "Waits until something is true",
          .gates = true,
          .estimate = std::chrono::seconds{5},
          .params = {k_that,
                     k_message,
                     {.name = "every",
                      .kind = ParamKind::duration,
                      .description = "Time between two looks; 200ms unless given"}}},
         make_wait_for},
        {{.name = "approve",
          .summary = "Waits until somebody says yes, by `lockstep approve`",
          .alone = true,
          .asks = true,
          .params = {{.name = "message", .required = true, .description = "What is asked"}},
          .outputs = k_answer_outputs},
         make_approve},
        {{.name = "manual",
          .summary = "Waits until somebody says that something was done by hand",
          .alone = true,
          .asks = true,
          .answered = true,
          .params =
              {{.name = "instructions", .required = true, .description = "What has to be done"}},
          .outputs = k_answer_outputs},
         make_manual},
        {{.name = "sleep",
          .summary = "Waits a length of time",
          .alone = true,
          .params = {{.name = "for",
                      .kind = ParamKind::duration,
                      .required = true,
                      .description = "How long"}}},
         make_sleep},
        {{.name = "notify",
          .summary = "Tells people, or their programs, something",
          .alone = true,
          .params = {{.name = "message", .required = true, .description = "What to say"},
                     {.name = "to",
                      .kind = ParamKind::list,
                      .description = "Targets of the inventory; every one unless given"}}},
         make_notify},
        {{.name = "ssh.run",
          .summary = "Runs a command on the member",
          .scope = ActionScope::member,
          .changes = true,
          .repeatable = false,
          .alone = true,
          .spooled = true,
          .estimate = std::chrono::seconds{5},
          .felt = "what its command does to them",
          .one_of = {"argv", "shell"},
          .params = {k_argv,
                     {.name = "shell",
                      .kind = ParamKind::shell,
                      .required = true,
                      .description = "A text for sh; values are quoted when they are put in"},
                     {.name = "become",
                      .kind = ParamKind::boolean,
                      .description = "As root; true unless given, else as the user who logs in"},
                     k_env,
                     k_stdin,
                     k_read_only,
                     k_ok_exit},
          .outputs = k_command_outputs,
          .own_undo = false},
         make_ssh_run},
        {{.name = "local.run",
          .summary = "Runs a command on this machine",
          .changes = true,
          .repeatable = false,
          .alone = true,
          .estimate = std::chrono::seconds{2},
          .felt = "what its command does to them",
          .params = {k_argv, k_local_env, k_stdin, k_read_only, k_ok_exit},
          .outputs = k_command_outputs,
          .own_undo = false},
         make_local_run},
        {{.name = "http.request",
          .summary = "Sends an HTTP request",
          .changes = true,
          .looks_by_default = true,
          .looking_methods = {"GET", "HEAD"},
          .repeatable = false,
          .alone = true,
          .estimate = std::chrono::seconds{1},
          .felt = "what its request does to them",
          .params = {{.name = "url", .required = true, .description = "Where to"},
                     {.name = "method",
                      .description = "GET unless given",
                      .values = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}},
                     {.name = "headers",
                      .kind = ParamKind::map,
                      .description = "Header fields",
                      .secret = true},
                     {.name = "json", .kind = ParamKind::any, .description = "The body"},
                     {.name = "expect_status",
                      .kind = ParamKind::integer,
                      .description = "The status that means success; any 2xx unless given"},
                     k_read_only},
          .outputs =
              {{"status", "The status code"},
               {"body", "What was answered, as text"},
               {"json",
                "The same, parsed; null where it is no JSON, or nests deeper than 64 levels"}},
          .own_undo = false},
         make_http_request},
        {{.name = "sql.query",
          .summary = "Runs one SQL statement, on the member or on the leader",
          .changes = true,
          .looks_by_default = true,
          .repeatable = false,
          .estimate = std::chrono::seconds{1},
          .felt = "what its statement does to them: locks, and time",
          .params = {{.name = "query", .required = true, .description = "Parameters are $1, $2, …"},
                     {.name = "params", .kind = ParamKind::list, .description = "Their values"},
                     {.name = "database",
                      .description = "postgres.database of the inventory unless given"},
                     {.name = "read_only",
                      .kind = ParamKind::boolean,
                      .description = "In a read-only transaction; true unless given"},
                     {.name = "search_path",
                      .kind = ParamKind::list,
                      .description = "Schemas of names without one, behind pg_catalog; none unless "
                                     "given, whatever the role's own are"}},
          .outputs = {{"rows", "A list of maps, by the names of the columns"}},
          .own_undo = false},
         make_sql_query},
        {{.name = "patroni.pause",
          .summary = "Pauses the cluster, and proves that every member knows",
          .scope = ActionScope::cluster,
          .changes = true,
          .estimate = std::chrono::seconds{12},
          .temporary = true,
          .measured_as = "paused_ms"},
         make_patroni_pause},
        {{.name = "patroni.resume",
          .summary = "Ends this run's pause, once that is safe",
          .scope = ActionScope::cluster,
          .changes = true,
          .estimate = std::chrono::seconds{5},
          .ends = "patroni.pause"},
         make_patroni_resume},
        {{.name = "patroni.config",
          .summary = "Changes the dynamic configuration",
          .scope = ActionScope::cluster,
          .changes = true,
          .estimate = std::chrono::seconds{2},
          .felt = "what the setting changes for them",
          .params = {{.name = "patch",
                      .kind = ParamKind::any,
                      .required = true,
                      .description = "What to change, as a map; null removes"}}},
         make_patroni_config},
        {{.name = "patroni.reload",
          .summary = "Has the member's Patroni read its configuration file again",
          .scope = ActionScope::member,
          .changes = true,
          .estimate = std::chrono::seconds{12}},
         make_patroni_reload},
        {{.name = "patroni.switchover",
          .summary =
              "Has another member lead, and proves that it writes and the old leader follows",
          .scope = ActionScope::cluster,
          .changes = true,
          .estimate = std::chrono::seconds{8},
          .felt = "no writes for a second or two, and every connection to the old leader ends",
          .moves = {"leader", "timeline", "postmaster"},
          .params = {{.name = "candidate",
                      .description = "Who is to lead; the plan chooses one unless given"},
                     {.name = "checkpoint",
                      .kind = ParamKind::boolean,
                      .description =
                          "A CHECKPOINT on the leader first, so that it stops soon; true "
                          "unless given"}},
          .outputs = {{"leader", "Who leads now"},
                      {"before", "Who led before"},
                      {"timeline", "The timeline now"}}},
         make_patroni_switchover},
        {{.name = "patroni.restart",
          .summary = "Restarts the member's PostgreSQL through its Patroni, and proves that it was",
          .scope = ActionScope::member,
          .changes = true,
          .estimate = std::chrono::seconds{5},
          .felt = "connections are cut; on the leader nothing is written until it is up again",
          .breaks_guard = "postgres_not_restarted",
          .one_of = {"if_pending", "if_version_below"},
          .params = {{.name = "if_pending",
                      .kind = ParamKind::boolean,
                      .description = "Only where PostgreSQL waits for a restart"},
                     {.name = "if_version_below",
                      .kind = ParamKind::version,
                      .description = "Only where an older PostgreSQL than this runs"}}},
         make_patroni_restart},
        {{.name = "patroni.set_parameter",
          .summary = "Sets a parameter of PostgreSQL in the dynamic configuration, after the "
                     "servers were asked whether they take it",
          .scope = ActionScope::cluster,
          .changes = true,
          .estimate = std::chrono::seconds{8},
          .felt = "what the parameter changes for them",
          .params = {k_parameter, k_parameter_value}},
         make_patroni_set_parameter},
        {{.name = "patroni.verify_parameter",
          .summary = "Proves that every member runs with a parameter of the dynamic configuration",
          .scope = ActionScope::cluster,
          .gates = true,
          .estimate = std::chrono::seconds{2},
          .params = {k_parameter,
                     k_parameter_value,
                     {.name = "pending",
                      .kind = ParamKind::boolean,
                      .description = "One that waits for its restart counts as well"}}},
         make_patroni_verify_parameter},
        {{.name = "patroni.reinitialize",
          .summary = "Has Patroni delete a replica's data and copy the leader's anew",
          .scope = ActionScope::member,
          .changes = true,
          .estimate = std::chrono::minutes{2},
          .felt = "reads on that replica are refused until it is made",
          .breaks_guard = "postgres_not_restarted"},
         make_patroni_reinitialize},
        {{.name = "package.install",
          .summary = "Installs exactly this version, up or down",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{20},
          .one_of = {"version", "file"},
          .params = {k_package,
                     {.name = "version",
                      .kind = ParamKind::version,
                      .required = true,
                      .description = "In full, or an upstream version that names one package"},
                     {.name = "file",
                      .required = true,
                      .description = "Path of a `.deb` or `.rpm` on the member that holds it"}},
          .outputs = {{"installed", "The version that is installed now"},
                      {"exit", "The exit status of apt-get, dnf or yum"}}},
         make_package_install},
        {{.name = "package.keep",
          .summary = "Keeps a package as it is now on the member, for the way back",
          .scope = ActionScope::member,
          .estimate = std::chrono::seconds{8},
          .preparation_id = "keep",
          .waived_by = "package.no_way_back",
          .params = {k_package, k_old_version, k_also}},
         make_package_keep},
        {{.name = "package.restore",
          .summary = "Puts a package back to a version that was kept, and sees Patroni run again",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{25},
          .prepared_by = "package.keep",
          .params = {k_package, k_old_version, k_also}},
         make_package_restore},
        {{.name = "package.hold",
          .summary = "Keeps the package manager from changing a package",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{2},
          .temporary = true,
          .params = {k_package}},
         make_package_hold},
        {{.name = "package.unhold",
          .summary = "Lets the package manager change a package again",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{2},
          .ends = "package.hold",
          .params = {k_package}},
         make_package_unhold},
        {{.name = "service.restart",
          .summary = "Restarts a systemd unit; Patroni's only where it runs something outdated",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{8},
          .felt = "nothing of a Patroni in pause; of another unit, what it serves them is gone for "
                  "a moment",
          .params = {k_service,
                     {.name = "always",
                      .kind = ParamKind::boolean,
                      .description = "Also a Patroni that runs what is installed"}}},
         make_service_restart},
        {{.name = "service.start",
          .summary = "Starts a systemd unit",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{3},
          .params = {k_service}},
         make_service_start},
        {{.name = "service.stop",
          .summary = "Stops a systemd unit; Patroni's only in pause",
          .scope = ActionScope::member,
          .changes = true,
          .spooled = true,
          .estimate = std::chrono::seconds{3},
          .felt = "what the unit serves them is gone until it is started again",
          .params = {k_service}},
         make_service_stop},
        {{.name = "slots.verify",
          .summary = "Proves that no replication slot stands still or was lost",
          .scope = ActionScope::cluster,
          .estimate = std::chrono::seconds{33}},
         make_slots_verify},
        {{.name = "slots.drop",
          .summary = "Drops a replication slot that serves nobody, on the members where it stands "
                     "still",
          .changes = true,
          .estimate = std::chrono::seconds{1},
          .params = {k_slot,
                     {.name = "only_stuck",
                      .kind = ParamKind::boolean,
                      .description = "Only where it holds WAL and did not move between two "
                                     "samples; true unless given"}}},
         make_slots_drop},
        {{.name = "slots.create",
          .summary = "Creates a physical replication slot on the member",
          .scope = ActionScope::member,
          .changes = true,
          .estimate = std::chrono::seconds{1},
          .params = {k_slot,
                     {.name = "reserve",
                      .kind = ParamKind::boolean,
                      .description = "It holds WAL from now on, not only once it is used; false "
                                     "unless given"}}},
         make_slots_create},
        {{.name = "wal.verify",
          .summary = "Proves that pg_wal is back at its floor on every member",
          .scope = ActionScope::cluster,
          .estimate = std::chrono::seconds{15},
          .params = {{.name = "timeout",
                      .kind = ParamKind::duration,
                      .description = "How long it may take; 2m unless given"},
                     {.name = "checkpoint",
                      .description = "`request` one, or `wait` for the server's own",
                      .values = {"request", "wait"}}},
          .outputs = {{"before", "Bytes of pg_wal by member, at first"},
                      {"after", "The same at the end"}}},
         make_wal_verify},
    };
    return k_rows;
}

}  // namespace

const ActionCatalog& action_catalog() {
    static const ActionCatalog k_catalog = [] {
        ActionCatalog catalog;
        for (const Row& row : rows()) {
            catalog.push_back(row.schema);
        }
        return catalog;
    }();
    return k_catalog;
}

const Action& find_action_code(std::string_view name) {
    static const std::map<std::string, std::unique_ptr<Action>, std::less<>> k_code = [] {
        std::map<std::string, std::unique_ptr<Action>, std::less<>> code;
        for (const Row& row : rows()) {
            code.emplace(row.schema.name, row.make());
        }
        return code;
    }();
    const auto found = k_code.find(name);
    if (found == k_code.end()) {
        throw std::logic_error("no action " + std::string(name));
    }
    return *found->second;
}

RunbookVocabulary runbook_vocabulary() {
    return {action_catalog(), guard_catalog(), finding_ids()};
}

}  // namespace lockstep
