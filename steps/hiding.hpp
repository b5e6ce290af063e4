#pragma once

#include "cluster/facts.hpp"
#include "cluster/finding.hpp"
#include "engine/plan/step_runner.hpp"
#include "inventory/inventory.hpp"
#include "transport/command.hpp"

#include <vector>

/// The border between what others answered and the engine: what has passed here holds no secret
/// that we know, so that screens, journal, documents and notifications need not care. Actions still
/// see what they got: a package manager's answer is read before anything in it is replaced.
namespace lockstep {

/// Also remembers that there was one.
void hide_secrets_in(StepResult& result);
void hide_secrets_in(std::vector<Finding>& findings);
/// In what members say freely: configuration, parameters, tags, errors. Names, addresses and
/// versions are compared and put into commands, and stay.
void hide_secrets_in(ClusterFacts& facts);
/// For an action that shortens what a command printed: half a secret would not be found any more.
[[nodiscard]] CommandResult without_secrets(CommandResult result);

/// Reads the secrets that stand in files, so that they are known before anything prints them; those
/// of the environment are known since the inventory was read, those of commands once they are used.
/// What cannot be read is told where it is needed.
void remember_secrets_of(const Cluster& cluster, const NotifyTargets& targets);

}  // namespace lockstep
