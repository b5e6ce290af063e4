#pragma once

#include "cluster/facts.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

/// What Patroni was set up with on a member: asked by its own Python, there.
namespace lockstep {

/// A program for Python 2.7 and 3, given the daemon's pid, or 0. It prints one line of JSON, and of
/// the configuration nothing but what it names: no credentials, and of postgresql.parameters only
/// numbers, booleans and single words whose names do not speak of commands, keys or passwords.
[[nodiscard]] const std::string& setup_program();

/// What that line says.
[[nodiscard]] SetupFacts setup_of(const nlohmann::json& body);

}  // namespace lockstep
