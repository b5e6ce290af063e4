#include "engine/plan/undo.hpp"

#include "base/or_null.hpp"

#include <algorithm>
#include <array>

namespace lockstep {

std::string_view to_text(Operation::Kind kind) {
    switch (kind) {
        case Operation::Kind::ssh:
            return "ssh";
        case Operation::Kind::http:
            return "http";
        case Operation::Kind::sql:
            return "sql";
        case Operation::Kind::local:
            return "local";
    }
    return "?";
}

nlohmann::json Undo::to_json() const {
    return {{"kind", to_text(operation.kind)},
            {"text", operation.text},
            {"uses", uses},
            {"member", or_null(member)},
            {"with", with}};
}

Operation operation_from(const nlohmann::json& json) {
    Operation operation;
    operation.text = json.at("text");
    for (const Operation::Kind kind : {Operation::Kind::ssh,
                                       Operation::Kind::http,
                                       Operation::Kind::sql,
                                       Operation::Kind::local}) {
        if (json.at("kind") == to_text(kind)) {
            operation.kind = kind;
        }
    }
    return operation;
}

Undo Undo::from_json(const nlohmann::json& json) {
    Undo undo;
    undo.operation = operation_from(json);
    undo.uses = json.at("uses");
    undo.member = json.at("member").is_null() ? "" : json.at("member");
    undo.with = json.at("with");
    return undo;
}

bool same_thing(const Undo& a, const Undo& b) {
    const auto thing = [](const Undo& undo) { return undo.with.value("package", ""); };
    return a.uses == b.uses && a.member == b.member && thing(a) == thing(b);
}

std::vector<Undo> with_besides(std::vector<Undo> undo, const std::vector<Undo>& besides) {
    std::erase_if(undo, [&](const Undo& own) {
        return std::ranges::any_of(besides,
                                   [&](const Undo& other) { return same_thing(own, other); });
    });
    undo.insert(undo.end(), besides.begin(), besides.end());
    return undo;
}

nlohmann::json to_json(const std::vector<Operation>& operations) {
    nlohmann::json list = nlohmann::json::array();
    for (const Operation& operation : operations) {
        list.push_back({{"kind", to_text(operation.kind)}, {"text", operation.text}});
    }
    return list;
}

nlohmann::json to_json(const std::vector<Undo>& undo) {
    nlohmann::json list = nlohmann::json::array();
    for (const Undo& each : undo) {
        list.push_back(each.to_json());
    }
    return list;
}

}  // namespace lockstep
