#pragma once

#include "engine/runbook/action_schema.hpp"
#include "engine/runbook/runbook.hpp"
#include "steps/actions/action.hpp"

namespace lockstep {

/// The schemas of every action, for loader and planner.
[[nodiscard]] const ActionCatalog& action_catalog();

/// The action of that name; a name that is not in the catalog is a bug.
[[nodiscard]] const Action& find_action_code(std::string_view name);

/// Everything a runbook may name.
[[nodiscard]] RunbookVocabulary runbook_vocabulary();

// One function a row: each in the file named after the action.
[[nodiscard]] std::unique_ptr<Action> make_approve();
[[nodiscard]] std::unique_ptr<Action> make_manual();
[[nodiscard]] std::unique_ptr<Action> make_check();
[[nodiscard]] std::unique_ptr<Action> make_assert();
[[nodiscard]] std::unique_ptr<Action> make_wait_for();
[[nodiscard]] std::unique_ptr<Action> make_sleep();
[[nodiscard]] std::unique_ptr<Action> make_notify();
[[nodiscard]] std::unique_ptr<Action> make_ssh_run();
[[nodiscard]] std::unique_ptr<Action> make_local_run();
[[nodiscard]] std::unique_ptr<Action> make_http_request();
[[nodiscard]] std::unique_ptr<Action> make_sql_query();
[[nodiscard]] std::unique_ptr<Action> make_patroni_pause();
[[nodiscard]] std::unique_ptr<Action> make_patroni_resume();
[[nodiscard]] std::unique_ptr<Action> make_patroni_config();
[[nodiscard]] std::unique_ptr<Action> make_patroni_reload();
[[nodiscard]] std::unique_ptr<Action> make_patroni_switchover();
[[nodiscard]] std::unique_ptr<Action> make_patroni_restart();
[[nodiscard]] std::unique_ptr<Action> make_patroni_set_parameter();
[[nodiscard]] std::unique_ptr<Action> make_patroni_verify_parameter();
[[nodiscard]] std::unique_ptr<Action> make_patroni_reinitialize();
[[nodiscard]] std::unique_ptr<Action> make_package_install();
[[nodiscard]] std::unique_ptr<Action> make_package_keep();
[[nodiscard]] std::unique_ptr<Action> make_package_restore();
[[nodiscard]] std::unique_ptr<Action> make_package_hold();
[[nodiscard]] std::unique_ptr<Action> make_package_unhold();
[[nodiscard]] std::unique_ptr<Action> make_service_restart();
[[nodiscard]] std::unique_ptr<Action> make_service_start();
[[nodiscard]] std::unique_ptr<Action> make_service_stop();
[[nodiscard]] std::unique_ptr<Action> make_slots_verify();
[[nodiscard]] std::unique_ptr<Action> make_slots_drop();
[[nodiscard]] std::unique_ptr<Action> make_slots_create();
[[nodiscard]] std::unique_ptr<Action> make_wal_verify();

}  // namespace lockstep
