#include "base/yaml.hpp"

#include "base/yaml_source.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/node/node.h>  // for clang-tidy: else it takes our Node for parser.h's
#include <yaml-cpp/parser.h>

#include <array>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

namespace lockstep::yaml {

namespace {

constexpr std::size_t k_max_depth = 64;
constexpr std::size_t k_max_nodes = 200'000;

/// A list or map whose end has not come yet.
struct Open {
    Node node;
    std::size_t offset = 0;           ///< of its first character
    std::optional<Node> key;          ///< of a map: the key that waits for its value
    std::map<std::string, int> seen;  ///< of a map: key and the line it stands on
};

bool is_flow(const Source& source, std::size_t offset) {
    return source.at(offset) == '{' || source.at(offset) == '[';
}

/// Builds our own tree from the events of yaml-cpp, which alone show anchors, tags and second
/// documents: its Node has quietly dropped them.
class Builder : public YAML::EventHandler {
  public:
    explicit Builder(const Source& source) : source_(source) {}

    [[nodiscard]] Node take() { return std::move(root_); }

    /// Where the innermost list or map in brackets begins that is still open.
    [[nodiscard]] std::optional<std::size_t> open_bracket() const {
        for (auto open = stack_.rbegin(); open != stack_.rend(); ++open) {
            if (is_flow(source_, open->offset)) {
                return open->offset;
            }
        }
        return std::nullopt;
    }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) {
            fail(mark,
                 "a second document begins here",
                 "One file holds one document: nothing may follow a line of --- or ... or the end "
                 "of the first value.",
                 "yaml.document");
        }
    }

    void OnDocumentEnd() override {}

    void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
        fail(mark,
             "anchors are not allowed: &" + name,
             "Write the value out where it is needed; quote a text that begins with &.",
             "yaml.anchor");
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        fail(mark,
             "aliases are not allowed",
             "Write the value out where it is needed; quote a text that begins with *.",
             "yaml.anchor");
    }

    void OnNull(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
        refuse_tag(mark, {});
        add(make(Node::Kind::null, mark), mark);
    }

    void OnScalar(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t /*anchor*/,
                  const std::string& value) override {
        refuse_tag(mark, tag);
        Node node = make(Node::Kind::scalar, mark);
        node.text = value;
        const char first = source_.at(offset_of(mark));
        node.plain = tag == "?";
        node.text_where = node.where;
        if (first == '"' || first == '\'') {
            ++node.text_where.column;
        } else if (!node.plain) {
            node.text_where = source_.block_text(offset_of(mark));
        }
        add(std::move(node), mark);
    }

    void OnSequenceStart(const YAML::Mark& mark,
                         const std::string& tag,
                         YAML::anchor_t /*anchor*/,
                         YAML::EmitterStyle::value /*style*/) override {
        begin(Node::Kind::list, mark, tag);
    }

    void OnSequenceEnd() override { end(); }

    void OnMapStart(const YAML::Mark& mark,
                    const std::string& tag,
                    YAML::anchor_t /*anchor*/,
                    YAML::EmitterStyle::value /*style*/) override {
        begin(Node::Kind::map, mark, tag);
    }

    void OnMapEnd() override { end(); }

  private:
    static std::size_t offset_of(const YAML::Mark& mark) {
        return mark.pos < 0 ? 0 : static_cast<std::size_t>(mark.pos);
    }

    [[noreturn]] void fail(const YAML::Mark& mark,
                           const std::string& message,
                           const std::string& hint,
                           const std::string& rule) const {
        throw InputError(source_.where(offset_of(mark)), message, hint, rule);
    }

    void refuse_tag(const YAML::Mark& mark, const std::string& tag) const {
        // A `!` alone looks to yaml-cpp like a quoted text, so the text itself has to be asked.
        if (source_.at(offset_of(mark)) == '!' || !(tag.empty() || tag == "?" || tag == "!")) {
            fail(mark,
                 "tags are not allowed: YAML reads a word that begins with ! as one",
                 "For a negation write `not a`; quote a text that begins with !.",
                 "yaml.tag");
        }
    }

    Node make(Node::Kind kind, const YAML::Mark& mark) {
        if (++nodes_ > k_max_nodes) {
            fail(mark, "more than " + std::to_string(k_max_nodes) + " values", {}, "yaml.limit");
        }
        Node node;
        node.kind = kind;
        node.where = source_.where(offset_of(mark));
        return node;
    }

    [[nodiscard]] bool key_expected() const {
        return !stack_.empty() && stack_.back().node.is(Node::Kind::map) && !stack_.back().key;
    }

    void begin(Node::Kind kind, const YAML::Mark& mark, const std::string& tag) {
        refuse_tag(mark, tag);
        if (key_expected()) {
            refuse_key(mark);
        }
        if (stack_.size() >= k_max_depth) {
            fail(mark, "more than " + std::to_string(k_max_depth) + " levels", {}, "yaml.limit");
        }
        stack_.push_back({make(kind, mark), offset_of(mark), std::nullopt, {}});
    }

    void end() {
        Open done = std::move(stack_.back());
        stack_.pop_back();
        put(std::move(done.node));
    }

    void add(Node node, const YAML::Mark& mark) {
        if (key_expected()) {
            if (!node.is(Node::Kind::scalar)) {
                refuse_key(mark);
            }
            check_key(node);
            stack_.back().key = std::move(node);
        } else {
            put(std::move(node));
        }
    }

    void put(Node node) {
        if (stack_.empty()) {
            root_ = std::move(node);
        } else if (stack_.back().node.is(Node::Kind::list)) {
            stack_.back().node.items.push_back(std::move(node));
        } else {
            Open& map = stack_.back();
            if (node.is(Node::Kind::null)) {
                node.where = map.key->where;  // yaml-cpp gives the token after it, wherever that is
            }
            map.node.entries.push_back({std::move(*map.key), std::move(node)});
            map.key.reset();
        }
    }

    [[noreturn]] void refuse_key(const YAML::Mark& mark) const {
        const std::size_t parent = stack_.back().offset;
        if (offset_of(mark) > parent && source_.at(parent) == '{' &&
            source_.at(offset_of(mark)) == '{' &&
            source_.only_spaces(parent + 1, offset_of(mark))) {
            throw InputError(source_.where(parent),
                             "{{ }} without quotes is a map in YAML, not a template",
                             "Quote it, or write ${{ }}.",
                             "yaml.key");
        }
        fail(mark,
             "a key must be a text",
             is_flow(source_, offset_of(mark))
                 ? "Close its bracket if it is not meant to be a key; quote it if it is a text."
                 : "Quote it if it is meant to be one.",
             "yaml.key");
    }

    void check_key(const Node& key) {
        if (key.text == "<<" && key.plain) {
            throw InputError(key.where,
                             "merge keys are not allowed: <<",
                             "Write the keys out where they are meant.",
                             "yaml.anchor");
        }
        const auto [first, is_new] = stack_.back().seen.emplace(key.text, key.where.line);
        if (!is_new) {
            throw InputError(key.where,
                             "duplicate key \"" + key.text + "\"",
                             "The first one is on line " + std::to_string(first->second) + ".",
                             "yaml.duplicate_key");
        }
    }

    const Source& source_;
    Node root_;
    std::vector<Open> stack_;
    std::size_t nodes_ = 0;
    int documents_ = 0;
};

/// What helps against the terser messages of yaml-cpp 0.7.
std::string hint_for(const std::string& message) {
    static const std::array<std::pair<std::string_view, std::string_view>, 8> hints{{
        {YAML::ErrorMsg::MAP_VALUE,
         "Quote a text that holds \": \", and check the indentation of this line."},
        {YAML::ErrorMsg::END_OF_MAP,
         "A new key was expected: check the indentation; a quoted text must be quoted as a whole."},
        {YAML::ErrorMsg::UNKNOWN_TOKEN, "Quote a text that begins with @, %, ` or ?."},
        {YAML::ErrorMsg::ALIAS_NOT_FOUND, "Quote a text that begins with *."},
        {YAML::ErrorMsg::ANCHOR_NOT_FOUND, "Quote a text that begins with &."},
        {YAML::ErrorMsg::UNKNOWN_ANCHOR,
         "Aliases are not allowed; quote a text that begins with *."},
        {YAML::ErrorMsg::EOF_IN_SCALAR, "A quote that was opened before is never closed."},
        {YAML::ErrorMsg::BLOCK_ENTRY, "A list begins on its own line, or stands in [ ]."},
    }};
    for (const auto& [known, hint] : hints) {
        if (message == known) {
            return std::string(hint);
        }
    }
    return {};
}

[[noreturn]] void fail_as_input_error(const YAML::Exception& error,
                                      const Builder& builder,
                                      const Source& source) {
    if (error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW ||
        error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW) {
        if (const auto open = builder.open_bracket()) {
            throw InputError(source.where(*open),
                             std::string("this ") + source.at(*open) + " is never closed",
                             "Perhaps a comma or a bracket is missing after it.",
                             "yaml.syntax");
        }
    }
    const std::size_t offset = error.mark.pos < 0 ? 0 : static_cast<std::size_t>(error.mark.pos);
    throw InputError(source.where(offset),
                     error.msg,
                     source.indented_with_tab(offset)
                         ? "This line begins with a tab: indent with spaces."
                         : hint_for(error.msg),
                     "yaml.syntax");
}

}  // namespace

Node parse(std::string_view text, const std::string& file_name) {
    const Source source(text, file_name);
    std::istringstream stream(source.text());
    Builder builder(source);
    try {
        YAML::Parser parser(stream);
        // The second call is there to find a second document, which the builder refuses.
        if (parser.HandleNextDocument(builder)) {
            static_cast<void>(parser.HandleNextDocument(builder));
        }
    } catch (const YAML::Exception& error) {
        fail_as_input_error(error, builder, source);
    }
    Node root = builder.take();
    if (root.where.file.empty()) {
        root.where = {file_name, 1, 1};
    }
    return root;
}

Node parse_file(const std::string& path) {
    return parse(read_text(path), path);
}

}  // namespace lockstep::yaml
