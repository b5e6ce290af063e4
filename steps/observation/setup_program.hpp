#pragma once

#include "cluster/facts.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

/// What Patroni was set up with on a member: asked by its own Python, there.
namespace lockstep {

/// The beginning of a program for Python 2.7 and 3, given the daemon's pid: read() takes up its
/// configuration, setting() and whose() look into that, and ask(path, seconds) asks its REST API,
/// on this host, at the very sockets of the process.
[[nodiscard]] const std::string& daemon_program();

/// A whole one, whose pid may be 0. It prints one line of JSON, and of the configuration nothing
/// but what it names: no credentials, and of postgresql.parameters only numbers, booleans and
/// single words whose names do not speak of commands, keys or passwords. Where the daemon answers,
/// a second line has what it says of the cluster.
[[nodiscard]] const std::string& setup_program();

/// What that line says.
[[nodiscard]] SetupFacts setup_of(const nlohmann::json& body);

}  // namespace lockstep
