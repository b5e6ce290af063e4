#include "base/yaml.hpp"

#include "base/yaml_reader.hpp"

#include <algorithm>
#include <utility>

namespace lockstep::yaml {

namespace {

constexpr std::size_t k_max_depth = 64;
constexpr std::size_t k_max_nodes = 200'000;
constexpr int k_longest_key = 1024;  // YAML 1.2, 8.2.2

}  // namespace

Node Reader::document() {
    enter_line(0);
    skip();
    if (here() == '-' && at_document_mark(pos_)) {
        pos_ += 3;
    }
    Node root = block_value({}, source_.where(0));
    end_document();
    return root;
}

void Reader::end_document() {
    bool ended = false;
    for (;;) {
        const Gap gap = skip();
        if (at_end()) {
            return;
        }
        if (!gap.ends_a_line && !ended) {
            refuse_rest();
        }
        if (!gap.ends_a_line || !at_document_mark(pos_) || here() != '.') {
            fail(pos_,
                 "a second document begins here",
                 "One file holds one document: nothing may follow a line of --- or ... or the end "
                 "of the first value. Check the indentation.",
                 "yaml.document");
        }
        ended = true;
        pos_ += 3;
    }
}

/// What belongs to a key, a dash or the document: on the same line, or on the next that is indented
/// more; else nothing, which is said of `owner`.
Node Reader::block_value(const Spot& spot, const SourceLocation& owner) {
    const Gap gap = skip();
    if (at_end() || (gap.ends_a_line && !belongs_to(spot))) {
        return nothing(owner);
    }
    const std::size_t column = pos_ - line_.begin;
    if (is_indicator(pos_, '-', false)) {
        require_block(spot, gap, "a list begins here, after something else");
        return block_list(column);
    }
    if (is_indicator(pos_, '?', false)) {
        require_block(spot, gap, "a map begins here, after something else");
        return block_map(column);
    }
    if (here() == '|' || here() == '>') {
        return block_text(spot.parent);
    }
    return text_or_map(spot, gap);
}

/// A text, or the map of which it is the first key.
Node Reader::text_or_map(const Spot& spot, const Gap& gap) {
    const std::size_t begin = pos_;
    const std::size_t line = line_.begin;
    Node node = begin_text(spot.parent, false);
    const bool is_plain = node.is(Node::Kind::scalar) && node.plain;
    skip_blanks();
    if (is_plain && !is_indicator(pos_, ':', false)) {
        more_plain_lines(node.text, spot.parent, false);
    }
    if (!is_indicator(pos_, ':', false)) {
        return is_plain && is_null(node.text) ? nothing(node.where) : node;
    }
    require_block(spot, gap, "a second \": \" in one line");
    if (line_.begin != line) {
        fail(pos_,
             "a key must stand on one line",
             "Quote a text that holds \": \", and check the indentation of this line.");
    }
    return block_map(begin - line, std::move(node), begin);
}

/// Whether the line is indented enough.
bool Reader::belongs_to(const Spot& spot) const {
    const auto indent = static_cast<long>(line_.indent);
    const bool is_item_at_parent =
        spot.list_at_parent && indent == spot.parent && is_indicator(pos_, '-', false);
    return (indent > spot.parent || is_item_at_parent) && !at_document_mark(line_.begin);
}

/// A list or map needs a line of its own, or to come right after `- ` and the like.
void Reader::require_block(const Spot& spot, const Gap& gap, const std::string& otherwise) const {
    if (!gap.ends_a_line && !spot.may_share_line) {
        fail(pos_,
             otherwise,
             "Quote a text that holds \": \" or begins with a dash; a list or a map begins on its "
             "own "
             "line.");
    }
    if (gap.tab != std::string::npos) {
        refuse_tab(gap.tab);
    }
}

Node Reader::block_list(std::size_t column) {
    Node list = open(Node::Kind::list, pos_);
    do {
        const SourceLocation dash = source_.where(pos_);
        ++pos_;
        list.items.push_back(block_value({static_cast<long>(column), true, false}, dash));
    } while (goes_on(column) && is_indicator(pos_, '-', false));
    --depth_;
    return list;
}

Node Reader::block_map(std::size_t column) {
    OpenMap map{open(Node::Kind::map, pos_), pos_, {}};
    explicit_entry(map, column);
    block_entries(map, column);
    --depth_;
    return std::move(map.node);
}

Node Reader::block_map(std::size_t column, Node first_key, std::size_t begin) {
    OpenMap map{open(Node::Kind::map, begin), begin, {}};
    block_entry(map, column, std::move(first_key));
    block_entries(map, column);
    --depth_;
    return std::move(map.node);
}

void Reader::block_entries(OpenMap& map, std::size_t column) {
    while (goes_on(column)) {
        if (is_indicator(pos_, '?', false)) {
            explicit_entry(map, column);
        } else {
            block_entry(map, column, implicit_key());
        }
    }
}

/// The reader stands at the colon of the key.
void Reader::block_entry(OpenMap& map, std::size_t column, Node key) {
    check_key(map, key);
    if (source_.where(pos_).column - key.where.column > k_longest_key) {
        fail(pos_,
             "a key longer than " + std::to_string(k_longest_key) + " characters",
             "Is this a colon in a text? Quote it then.");
    }
    ++pos_;
    Node value = block_value({static_cast<long>(column), false, true}, key.where);
    add_entry(map.node, std::move(key), std::move(value));
}

/// `? key`, and `: value` on a line of its own.
void Reader::explicit_entry(OpenMap& map, std::size_t column) {
    const Spot spot{static_cast<long>(column), true, true};
    const SourceLocation mark = source_.where(pos_);
    ++pos_;
    Node key = block_value(spot, mark);
    check_key(map, key);
    Node value;
    if (goes_on(column) && is_indicator(pos_, ':', false)) {
        ++pos_;
        value = block_value(spot, key.where);
    } else {
        value = nothing(key.where);
    }
    add_entry(map.node, std::move(key), std::move(value));
}

Node Reader::implicit_key() {
    const std::size_t begin = pos_;
    const std::size_t line = line_.begin;
    if (is_indicator(begin, '-', false)) {
        fail(begin,
             "an item of a list, where a key was expected",
             "A list stands below the key that it belongs to, as far to the right or further.");
    }
    Node key = begin_text(static_cast<long>(begin - line), false);
    skip_blanks();
    if (line_.begin != line || !is_indicator(pos_, ':', false)) {
        fail(begin,
             "a key was expected, and its colon is missing",
             "After it come a colon and a blank; a text that goes on is indented more than its "
             "key, and quoted as a whole or not at all.");
    }
    return key;
}

/// Whether the next line belongs to the list or map of this column.
bool Reader::goes_on(std::size_t column) {
    const Gap gap = skip();
    if (at_end()) {
        return false;
    }
    if (!gap.ends_a_line) {
        refuse_rest();
    }
    if (at_document_mark(line_.begin)) {
        return false;
    }
    if (gap.tab != std::string::npos) {
        refuse_tab(gap.tab);
    }
    if (line_.indent > column) {
        fail(pos_,
             "this line is indented more than those that it goes on with",
             "A new key or item was expected: each begins in the column of the first.");
    }
    return line_.indent == column;
}

bool Reader::is_indicator(std::size_t offset, char indicator, bool flow) const {
    if (source_.at(offset) != indicator) {
        return false;
    }
    const char next = source_.at(offset + 1);
    return next == '\0' || next == '\n' || is_blank(next) || (flow && is_flow_indicator(next));
}

bool Reader::at_document_mark(std::size_t line) const {
    const char next = source_.at(line + 3);
    return (line == 0 || source_.at(line - 1) == '\n') &&
           (text_.compare(line, 3, "---") == 0 || text_.compare(line, 3, "...") == 0) &&
           (next == '\0' || next == '\n' || is_blank(next));
}

void Reader::enter_line(std::size_t begin) {
    const std::size_t end = text_.size();
    line_.begin = begin;
    line_.indent = std::min(text_.find_first_not_of(' ', begin), end) - begin;
    line_.first = std::min(text_.find_first_not_of(" \t", begin + line_.indent), end);
    pos_ = begin;
}

void Reader::skip_blanks() {
    pos_ = std::min(text_.find_first_not_of(" \t", pos_), text_.size());
}

Reader::Gap Reader::skip() {
    const std::size_t begin = pos_;
    std::size_t since = pos_;
    for (;;) {
        skip_blanks();
        const char before = pos_ == 0 ? '\n' : text_[pos_ - 1];
        if (here() == '#' && (before == '\n' || is_blank(before))) {
            pos_ = std::min(text_.find('\n', pos_), text_.size());
        }
        if (here() != '\n') {
            break;
        }
        enter_line(pos_ + 1);
        since = pos_;
    }
    Gap gap;
    gap.is_empty = pos_ == begin;
    gap.ends_a_line = pos_ == line_.first;
    // On a line of its own the indentation counts, whoever has skipped it.
    const std::size_t from = gap.ends_a_line ? line_.begin + line_.indent : since;
    const std::size_t tab = text_.find_first_not_of(' ', from);
    gap.tab = tab < pos_ ? tab : std::string::npos;
    return gap;
}

Node Reader::make(Node::Kind kind, std::size_t offset) {
    count_value();
    Node node;
    node.kind = kind;
    node.where = source_.where(offset);
    return node;
}

Node Reader::open(Node::Kind kind, std::size_t offset) {
    if (++depth_ > k_max_depth) {
        fail(offset, "more than " + std::to_string(k_max_depth) + " levels", {}, "yaml.limit");
    }
    return make(kind, offset);
}

Node Reader::nothing(const SourceLocation& owner) {
    count_value();
    Node node;
    node.where = owner;
    return node;
}

/// A value that is nothing is found at its key, also where it is written out.
void Reader::add_entry(Node& map, Node key, Node value) {
    if (value.is(Node::Kind::null)) {
        value.where = key.where;
    }
    map.entries.push_back({std::move(key), std::move(value)});
}

void Reader::count_value() {
    if (++nodes_ > k_max_nodes) {
        fail(pos_, "more than " + std::to_string(k_max_nodes) + " values", {}, "yaml.limit");
    }
}

void Reader::check_key(OpenMap& map, const Node& key) const {
    if (!key.is(Node::Kind::scalar) || (key.plain && is_null(key.text))) {
        refuse_key(key.where, key.is(Node::Kind::list) || key.is(Node::Kind::map));
    }
    if (key.text == "<<" && key.plain) {
        throw InputError(key.where,
                         "merge keys are not allowed: <<",
                         "Write the keys out where they are meant.",
                         "yaml.anchor");
    }
    const auto [first, is_new] = map.seen.emplace(key.text, key.where.line);
    if (!is_new) {
        throw InputError(key.where,
                         "duplicate key \"" + key.text + "\"",
                         "The first one is on line " + std::to_string(first->second) + ".",
                         "yaml.duplicate_key");
    }
}

void Reader::refuse_key(const SourceLocation& where, bool is_bracket) const {
    throw InputError(
        where,
        "a key must be a text",
        is_bracket ? "Close its bracket if it is not meant to be a key; quote it if it is a text."
                   : "Quote it if it is meant to be one.",
        "yaml.key");
}

void Reader::refuse_rest() const {
    if (here() == '#') {
        fail(pos_, "a comment needs a blank before its #", "Quote a text that holds a #.");
    }
    if (here() == ':') {
        fail(pos_, "a colon that no blank follows", "Write \": \" between a key and its value.");
    }
    fail(pos_,
         "text after the end of a value",
         "A new key begins on its own line; a quoted text must be quoted as a whole.");
}

void Reader::refuse_tab(std::size_t offset) const {
    fail(offset, "a tab where only spaces indent", "Indent with spaces.");
}

void Reader::fail(std::size_t offset,
                  const std::string& message,
                  const std::string& hint,
                  const std::string& rule) const {
    throw InputError(source_.where(offset), message, hint, rule);
}

Node parse(std::string_view text, const std::string& file_name) {
    const Source source(text, file_name);
    return Reader(source).document();
}

Node parse_file(const std::string& path) {
    return parse(read_text(path), path);
}

}  // namespace lockstep::yaml
