#include "engine/runbook/rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

std::vector<RuleRow> rules_of_files() {
    return {
        {"file.keys", "A line of trusted_keys is no NAME and KEY."},
        {"file.shared", "Somebody else may write to the file, which is acted by."},
        {"file.unreadable", "The file is not there, or cannot be read."},
        {"yaml.syntax", "The text is not YAML."},
        {"yaml.encoding",
         "The text is not UTF-8, or holds a character that readers take differently."},
        {"yaml.limit", "The file is larger, longer or deeper than any that a person writes."},
        {"yaml.duplicate_key",
         "A key stands twice in one map: YAML readers differ in which one they take."},
        {"yaml.anchor",
         "Anchors, aliases and merge keys are not allowed: what a file says must be seen in it."},
        {"yaml.tag", "Tags are not allowed: a value is what its key takes."},
        {"yaml.directive", "Directives are not allowed: every file is read as YAML 1.2."},
        {"yaml.document", "One file holds one document: a second one would be overlooked."},
        {"yaml.key", "A key must be a text."},
    };
}

std::vector<RuleRow> rules_of_inventories() {
    return {
        {"inventory.unknown_key",
         "The key does not exist at this place: what it asks for would not be done."},
        {"inventory.type", "The value is of another kind than the key takes."},
        {"inventory.missing", "A key that must be given is not."},
        {"inventory.value", "The value is of the right kind, but not one that the key takes."},
        {"inventory.misplaced", "The key belongs to another level of the inventory."},
        {"inventory.secret",
         "A secret must not stand in a file that is read and copied: name where it comes from."},
        {"inventory.duplicate", "The same thing is given twice."},
    };
}

std::vector<RuleRow> rules_of_runbooks() {
    return {
        {"runbook.unknown_key",
         "The key does not exist at this place: what it asks for would not be done."},
        {"runbook.not_supported",
         "This version of lockstep does not do it, and what is not done must not be asked for."},
        {"runbook.type", "The value is of another kind than the key takes."},
        {"runbook.missing", "Something that must be given is not."},
        {"runbook.one_of", "Of these keys only one may be given."},
        {"runbook.value", "The value is of the right kind, but not one that the key takes."},
        {"runbook.bad_name", "Names are lower case letters, digits and _, a letter first."},
        {"runbook.duplicate_id", "Two things have one name: records could not tell them apart."},
        {"runbook.unknown_action", "There is no action of that name."},
        {"runbook.unknown_guard", "There is no guard of that name."},
        {"runbook.unknown_finding", "There is no finding of that id."},
        {"runbook.unknown_parameter", "The action or guard does not take it."},
        {"runbook.undefined_name",
         "The expression reads a name that is not there, or not known at this place."},
        {"runbook.expression", "The text is no expression, or none may stand here."},
        {"runbook.no_effect", "The key would do nothing here, and whoever wrote it expects it to."},
        {"runbook.scope",
         "The action works on a member where there is none, or once for the cluster inside `on`."},
        {"guard.broken",
         "The step's action does what a guard of the runbook forbids: its run would stop itself."},
        {"runbook.needs", "A step can wait for steps before it in its own list alone."},
        {"runbook.not_in_always",
         "What is always done comes after all going back: it has no undo, leaves nothing in force "
         "and waits for nobody."},
        {"runbook.unknown_runbook", "The runbook that is called is not there."},
        {"runbook.cycle", "A runbook that calls itself, over others or not, would never end."},
        {"runbook.limit", "Runbooks call each other deeper than a person can follow."},
        {"runbook.verify_changes", "What verifies must be sure to change nothing."},
        {"output.unknown",
         "The action that registers this name has no such output: the expression could only fail."},
    };
}

std::vector<RuleRow> warnings() {
    return {
        {"inventory.password_in_clear",
         "A password would go over the network by http, to whoever answers there. Use https, or "
         "`via: ssh`.",
         true},
        {"inventory.unverified_server",
         "Who answers is not proven before a password is given, or is given it in clear when it "
         "asks "
         "for that.",
         true},
        {"undo.missing",
         "The step changes something, its action has no undo of its own, and the runbook gives "
         "none: a rollback would leave it as it is. Give it `undo`, `undo: none` or "
         "`point_of_no_return`.",
         true},
        {"gate.missing",
         "The step changes something, and nothing before it looks whether the cluster is fit for "
         "that. Put a `check` or an `assert` in front of it.",
         true},
        {"step.unreachable",
         "No run comes to this step: its `when` is false, or a step before it always stops.",
         true},
        {"shell.raw",
         "`| raw` puts a value into a shell text without quotes: whoever gives the value can run "
         "any command.",
         true},
        {"return.stuck",
         "After a point of no return there is only the way forward, and this step stops the run "
         "when it fails: it is neither tried again nor safe to repeat. Do it before, or give it "
         "`on_failure: continue` or `retry`.",
         true},
        {"secret.misplaced",
         "A secret would stand where it is shown or kept: in an argv, a message, a URL or a label. "
         "Secrets go into `stdin`, and of `local.run` into `env`, too.",
         true},
    };
}

}  // namespace

const std::vector<RuleRow>& rule_table() {
    static const std::vector<RuleRow> k_rules = [] {
        std::vector<RuleRow> all;
        for (const auto& some :
             {rules_of_files(), rules_of_inventories(), rules_of_runbooks(), warnings()}) {
            all.insert(all.end(), some.begin(), some.end());
        }
        return all;
    }();
    return k_rules;
}

const RuleRow* find_rule(std::string_view id) {
    const auto found = std::ranges::find(rule_table(), id, &RuleRow::id);
    return found == rule_table().end() ? nullptr : &*found;
}

}  // namespace lockstep
