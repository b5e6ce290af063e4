#pragma once

#include "engine/runbook/runbook.hpp"

/// A vocabulary with one action for every rule of the loader. The real one is in steps/catalog.cpp.
namespace lockstep::testing_vocabulary {

inline const ActionCatalog& actions() {
    using enum ParamKind;
    static const ActionCatalog catalog{
        {.name = "check",
         .scope = ActionScope::cluster,
         .gates = true,
         .params = {{.name = "refuse_on",
                     .kind = string,
                     .required = true,
                     .description = "critical or warning",
                     .values = {"critical", "warning"}},
                    {.name = "ignore", .kind = map}}},
        {.name = "assert",
         .gates = true,
         .params = {{.name = "that", .kind = expression, .required = true}}},
        {.name = "wait_for",
         .gates = true,
         .params = {{.name = "that", .kind = expression, .required = true},
                    {.name = "message", .kind = string},
                    {.name = "every", .kind = duration}}},
        {.name = "ssh.run",
         .scope = ActionScope::member,
         .changes = true,
         .repeatable = false,
         .one_of = {"argv", "shell"},
         .params = {{.name = "argv", .kind = list, .required = true},
                    {.name = "shell", .kind = shell, .required = true},
                    {.name = "become", .kind = string, .values = {"none", "sudo"}},
                    {.name = "env", .kind = map},
                    {.name = "read_only", .kind = boolean},
                    {.name = "ok_exit", .kind = any}}},
        {.name = "http.request",
         .changes = true,
         .looks_by_default = true,
         .looking_methods = {"GET", "HEAD"},
         .params = {{.name = "url", .kind = string, .required = true},
                    {.name = "method", .kind = string},
                    {.name = "read_only", .kind = boolean},
                    {.name = "json", .kind = any},
                    {.name = "expect_status", .kind = integer}}},
        {.name = "sql.query",
         .changes = true,
         .looks_by_default = true,
         .params = {{.name = "query", .kind = string, .required = true},
                    {.name = "read_only", .kind = boolean}},
         .outputs = {{"rows", "A list of maps"}}},
        {.name = "package.install",
         .scope = ActionScope::member,
         .changes = true,
         .params = {{.name = "package", .kind = string, .required = true},
                    {.name = "version", .kind = version, .required = true}}},
        {.name = "wal.verify", .params = {{.name = "below", .kind = bytes}}},
        {.name = "patroni.pause", .scope = ActionScope::cluster, .changes = true},
        {.name = "patroni.resume", .scope = ActionScope::cluster, .changes = true},
    };
    return catalog;
}

inline const RunbookVocabulary& vocabulary() {
    static const RunbookVocabulary all{
        actions(),
        {{.name = "leader_unchanged"},
         {.name = "disk_above",
          .params = {{.name = "free", .kind = ParamKind::string, .required = true}}}},
        {"patroni.mixed_versions", "slot.stuck", "wal.growing"}};
    return all;
}

/// What is wrong with a runbook.
inline std::vector<InputError> errors_of(const std::string& text) {
    try {
        static_cast<void>(parse_runbook(text, "f", vocabulary()));
    } catch (const InputErrors& errors) {
        return errors.errors();
    }
    return {};
}

}  // namespace lockstep::testing_vocabulary
