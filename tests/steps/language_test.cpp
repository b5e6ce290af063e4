#include "engine/runbook/language.hpp"

#include "base/yaml.hpp"
#include "engine/runbook/reference.hpp"
#include "engine/runbook/rules.hpp"
#include "engine/runbook/schema.hpp"
#include "inventory/inventory_language.hpp"
#include "steps/catalog.hpp"
#include "tests/golden/golden_text.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

/// What an editor makes of a file.
Json json_of(const yaml::Node& node) {
    using Kind = yaml::Node::Kind;
    Json json;
    if (node.is(Kind::list)) {
        json = Json::array();
        for (const yaml::Node& item : node.items) {
            json.push_back(json_of(item));
        }
    } else if (node.is(Kind::map)) {
        json = Json::object();
        for (const auto& [key, value] : node.entries) {
            json[key.text] = json_of(value);
        }
    } else if (node.is(Kind::scalar)) {
        const Json read =
            node.plain ? Json::parse(node.text, nullptr, false) : Json(Json::value_t::discarded);
        json = read.is_boolean() || read.is_number() ? read : Json(node.text);
    }
    return json;
}

/// As much of JSON Schema as ours use. A word that it does not know is a failure.
class Validator {
  public:
    explicit Validator(const Json& root) : root_(root) {}

    bool accepts(const Json& schema, const Json& value) {
        if (schema.is_boolean()) {
            return schema.get<bool>();
        }
        return std::ranges::all_of(schema.items(), [&](const auto& word) {
            return holds(schema, word.key(), word.value(), value);
        });
    }

    bool accepts(const Json& value) { return accepts(root_, value); }

  private:
    static bool has_type(const std::string& type, const Json& value) {
        return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
               (type == "string" && value.is_string()) || (type == "null" && value.is_null()) ||
               (type == "boolean" && value.is_boolean()) ||
               (type == "number" && value.is_number()) ||
               (type == "integer" && value.is_number_integer());
    }

    auto accepting(const Json& schemas, const Json& value) {
        return std::ranges::count_if(schemas,
                                     [&](const Json& schema) { return accepts(schema, value); });
    }

    bool holds(const Json& schema, const std::string& word, const Json& what, const Json& value) {
        if (word == "$ref") {
            const auto name = what.get<std::string>().substr(std::string("#/$defs/").size());
            return accepts(root_.at("$defs").at(name), value);
        }
        if (word == "anyOf") {
            return accepting(what, value) > 0;
        }
        if (word == "oneOf") {
            return accepting(what, value) == 1;
        }
        if (word == "allOf") {
            return accepting(what, value) == static_cast<std::ptrdiff_t>(what.size());
        }
        if (word == "not") {
            return !accepts(what, value);
        }
        if (word == "if") {
            return !accepts(what, value) || accepts(schema.at("then"), value);
        }
        if (word == "type") {
            const Json types = what.is_array() ? what : Json::array({what});
            return std::ranges::any_of(types,
                                       [&](const Json& type) { return has_type(type, value); });
        }
        if (word == "enum") {
            return std::ranges::find(what, value) != what.end();
        }
        if (word == "const") {
            return what == value;
        }
        if (word == "pattern") {
            return !value.is_string() ||
                   std::regex_search(value.get<std::string>(), std::regex(what.get<std::string>()));
        }
        return holds_inside(schema, word, what, value);
    }

    bool holds_inside(const Json& schema,
                      const std::string& word,
                      const Json& what,
                      const Json& value) {
        if (word == "items") {
            return !value.is_array() || std::ranges::all_of(value, [&](const Json& item) {
                return accepts(what, item);
            });
        }
        if (word == "required") {
            return !value.is_object() || std::ranges::all_of(what, [&](const Json& key) {
                return value.contains(key.get<std::string>());
            });
        }
        if (word == "properties") {
            return !value.is_object() || std::ranges::all_of(what.items(), [&](const auto& key) {
                return !value.contains(key.key()) || accepts(key.value(), value.at(key.key()));
            });
        }
        if (word == "additionalProperties") {
            return !value.is_object() || std::ranges::all_of(value.items(), [&](const auto& key) {
                const bool named =
                    schema.contains("properties") && schema.at("properties").contains(key.key());
                return named || accepts(what, key.value());
            });
        }
        if (word == "dependentSchemas") {
            return !value.is_object() || std::ranges::all_of(what.items(), [&](const auto& key) {
                return !value.contains(key.key()) || accepts(key.value(), value);
            });
        }
        if (word.starts_with("min") || word.starts_with("max")) {
            return holds_measure(word, what.get<double>(), value);
        }
        const std::vector<std::string> texts{
            "$schema", "$defs", "title", "description", "default", "then"};
        EXPECT_NE(std::ranges::find(texts, word), texts.end()) << word;
        return true;
    }

    static bool holds_measure(const std::string& word, double limit, const Json& value) {
        double size = limit;
        if (word.ends_with("imum") && value.is_number()) {
            size = value.get<double>();
        } else if ((word.ends_with("Items") && value.is_array()) ||
                   (word.ends_with("Properties") && value.is_object())) {
            size = static_cast<double>(value.size());
        } else if (word.ends_with("Length") && value.is_string()) {
            size = static_cast<double>(value.get<std::string>().size());
        }
        return word.starts_with("min") ? size >= limit : size <= limit;
    }

    const Json& root_;
};

const Json& runbooks() {
    static const Json k_schema = runbook_schema(runbook_vocabulary());
    return k_schema;
}

const Json& inventories() {
    static const Json k_schema = inventory_schema();
    return k_schema;
}

bool accepts(const Json& schema, const std::string& text) {
    return Validator(schema).accepts(json_of(yaml::parse(text, "f")));
}

bool accepts_step(const std::string& step) {
    return accepts(runbooks(), "runbook: r\nsteps:\n  - " + step + "\n");
}

std::vector<std::string> files_in(const std::string& folder) {
    std::vector<std::string> paths;
    for (const auto& file :
         std::filesystem::directory_iterator(LOCKSTEP_SOURCE_DIR + ("/" + folder))) {
        paths.push_back(file.path().string());
    }
    return paths;
}

TEST(Schema, AcceptsTheShippedRunbooks) {
    for (const std::string& path : files_in("runbooks")) {
        EXPECT_TRUE(accepts(runbooks(), yaml::read_text(path))) << path;
    }
}

TEST(Schema, AcceptsTheExamplesOfInventories) {
    for (const std::string& path : files_in("inventory/examples")) {
        EXPECT_TRUE(accepts(inventories(), yaml::read_text(path))) << path;
    }
}

TEST(Schema, IsNamedInTheFirstLineOfEveryShippedFile) {
    const std::string modeline = "# yaml-language-server: $schema=";
    for (const auto& folder : {"runbooks", "inventory/examples"}) {
        for (const std::string& path : files_in(folder)) {
            const std::string first = golden::lines_of(yaml::read_text(path)).at(0);
            ASSERT_TRUE(first.starts_with(modeline)) << path;
            EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(path).parent_path() /
                                                first.substr(modeline.size())))
                << path;
        }
    }
}

TEST(Schema, KnowsTheParametersOfEachAction) {
    EXPECT_TRUE(accepts_step("{id: a, uses: package.install, with: {package: p, version: 4.0}}"));
    EXPECT_FALSE(accepts_step("{id: a, uses: package.install, with: {package: p}}"));
    EXPECT_FALSE(accepts_step("{id: a, uses: package.install}"));
    EXPECT_FALSE(accepts_step("{id: a, uses: patroni.pause, with: {package: p}}"));
    EXPECT_TRUE(accepts_step("{id: a, uses: patroni.pause}"));
    EXPECT_FALSE(accepts_step("{id: a, uses: patroni.pasue}"));
}

TEST(Schema, WantsOneOfTheParametersThatExcludeEachOther) {
    EXPECT_TRUE(accepts_step("{id: a, on: n1, uses: ssh.run, with: {argv: [x]}}"));
    EXPECT_TRUE(accepts_step("{id: a, on: n1, uses: ssh.run, with: {shell: x}}"));
    EXPECT_FALSE(accepts_step("{id: a, on: n1, uses: ssh.run, with: {shell: x, argv: [x]}}"));
    EXPECT_FALSE(accepts_step("{id: a, on: n1, uses: ssh.run, with: {read_only: true}}"));
}

TEST(Schema, TakesAnExpressionForAnyTypedParameter) {
    EXPECT_TRUE(accepts_step("{id: a, uses: sleep, with: {for: '${{ inputs.x }}'}}"));
    EXPECT_FALSE(accepts_step("{id: a, uses: sleep, with: {for: soon}}"));
    EXPECT_TRUE(accepts_step("{id: a, uses: sleep, with: {for: 1m30s}}"));
    EXPECT_FALSE(accepts_step("{id: a, when: '${{ x }}', uses: slots.verify}"));
}

TEST(Schema, RefusesOnABlockWhatHasNoEffectThere) {
    EXPECT_TRUE(accepts_step("{id: b, on: leader, steps: [{id: a, uses: slots.verify}]}"));
    EXPECT_FALSE(accepts_step("{id: b, timeout: 5m, steps: [{id: a, uses: slots.verify}]}"));
    EXPECT_FALSE(accepts_step("{id: b, uses: slots.verify, steps: [{id: a, uses: slots.verify}]}"));
    EXPECT_FALSE(accepts_step("{id: b, steps: []}"));
    EXPECT_FALSE(accepts_step("{id: b, steps: [{id: a, uses: slots.verify, tiemout: 5m}]}"));
}

TEST(Schema, KnowsGuardsAndFindings) {
    const std::string head = "runbook: r\nsteps: [{id: a, uses: slots.verify}]\n";
    EXPECT_TRUE(accepts(runbooks(), head + "guards: [leader_unchanged, disk_above: {free: 5GB}]"));
    EXPECT_FALSE(accepts(runbooks(), head + "guards: [disk_above]"));
    EXPECT_FALSE(accepts(runbooks(), head + "guards: [disk_above: {fre: 5GB}]"));
    EXPECT_TRUE(accepts(runbooks(), head + "heals: [slot.stuck, 'slot.stuck:n2']"));
    EXPECT_FALSE(accepts(runbooks(), head + "heals: [slot.stick]"));
}

TEST(Schema, KeepsLevelsOfAnInventoryApart) {
    const std::string cluster = "clusters: {o: {patroni: {endpoints: ['http://h:8008']}}}\n";
    EXPECT_TRUE(accepts(inventories(), cluster));
    EXPECT_TRUE(accepts(inventories(), cluster + "defaults: {ssh: {user: u}}"));
    EXPECT_FALSE(accepts(inventories(), cluster + "defaults: {ssh: {host: h}}"));
    EXPECT_FALSE(accepts(inventories(), cluster + "defaults: {members: {n1: }}"));
    EXPECT_FALSE(accepts(inventories(), "clusters: {o: {ssh: {user: u}}}"));
    EXPECT_FALSE(accepts(inventories(), "clusters: {}"));
}

TEST(Schema, IsTheOneOnFile) {
    golden::expect_file("docs/schema/runbook.json", runbooks().dump(2) + "\n");
    golden::expect_file("docs/schema/inventory.json", inventories().dump(2) + "\n");
}

TEST(Reference, IsTheOneOnFile) {
    golden::expect_file("docs/reference.md", reference_markdown(reference(runbook_vocabulary())));
}

TEST(Reference, DescribesEverything) {
    for (const ReferenceEntry& entry : reference(runbook_vocabulary())) {
        EXPECT_FALSE(entry.description.empty()) << entry.key;
        EXPECT_TRUE(entry.description.ends_with('.')) << entry.key;
        EXPECT_EQ(entry.key.find(' '), std::string::npos) << entry.key;
    }
}

TEST(Reference, HasEachKeyOnce) {
    std::vector<std::string> keys;
    for (const ReferenceEntry& entry : reference(runbook_vocabulary())) {
        keys.push_back(entry.key);
    }
    std::ranges::sort(keys);
    EXPECT_EQ(std::ranges::adjacent_find(keys), keys.end());
}

TEST(Reference, FindsKeysActionsParametersGuardsAndRules) {
    const auto entries = reference(runbook_vocabulary());
    EXPECT_EQ(look_up(entries, "retry.backoff").takes, "number from 1 to 100");
    EXPECT_EQ(look_up(entries, "runbook.guards").takes, "list of guard");
    EXPECT_EQ(look_up(entries, "ssh.run").kind, "action");
    EXPECT_EQ(look_up(entries, "ssh.run.argv").kind, "parameter");
    EXPECT_EQ(look_up(entries, "disk_above").inside.at(0), "disk_above.free");
    EXPECT_EQ(look_up(entries, "inventory.ssh.port").otherwise,
              "what ssh's configuration says, else 22");
    EXPECT_EQ(look_up(entries, "undo.missing").takes, "warning");
}

TEST(Reference, SaysWhatMayHaveBeenMeant) {
    const auto entries = reference(runbook_vocabulary());
    const auto hint = [&](const std::string& key) {
        try {
            return look_up(entries, key).key;
        } catch (const UsageError& error) {
            return error.hint();
        }
    };
    EXPECT_TRUE(hint("retry.backof").starts_with("did you mean \"retry.backoff\"?"));
    EXPECT_EQ(hint("batch"), "There is strategy.batch.");
}

/// Each example is what an editor would accept at its key.
TEST(Language, HasAnExampleOfEachKeyThatFits) {
    for (const auto& [places, schema] :
         {std::pair(&language::places(), &runbooks()), {&inventory_places(), &inventories()}}) {
        for (const language::Place& place : *places) {
            for (const language::Key& key : place.keys) {
                if (key.later) {
                    continue;
                }
                const Json example = json_of(yaml::parse(key.example, "example"));
                ASSERT_TRUE(example.is_object() && example.contains(std::string(key.name)))
                    << place.name << "." << key.name;
                const Json& wanted = schema->at("$defs")
                                         .at(std::string(place.name))
                                         .at("properties")
                                         .at(std::string(key.name));
                EXPECT_TRUE(Validator(*schema).accepts(wanted, example.at(std::string(key.name))))
                    << place.name << "." << key.name << ": " << key.example;
            }
        }
    }
}

TEST(Language, NamesOnlyPlacesThatThereAre) {
    for (const auto* places : {&language::places(), &inventory_places()}) {
        for (const language::Place& place : *places) {
            for (const language::Key& key : place.keys) {
                for (const language::Shape& shape : key.shapes) {
                    if (shape.kind == language::Kind::keys) {
                        EXPECT_NO_THROW(static_cast<void>(language::find_place(*places, shape.of)));
                    }
                }
            }
        }
    }
}

}  // namespace
}  // namespace lockstep
