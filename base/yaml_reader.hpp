#pragma once

#include "base/yaml.hpp"
#include "base/yaml_source.hpp"

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

namespace lockstep::yaml {

/// Reads one document by the grammar of YAML 1.2, from left to right and each character a bounded
/// number of times. It goes down with the levels, which are limited. A reader of our own, since
/// those at hand read what is no YAML: of the cases in tests/base/yaml_cases.hpp yaml-cpp 0.7 gets
/// 47 wrong, libyaml 0.2.5 gets 41, libfyaml 0.7.12 gets 6 (one with bytes that are not in the
/// file), and none of them gives the places that our messages need.
class Reader {
  public:
    explicit Reader(const Source& source) : source_(source), text_(source.text()) {}

    Node document();

  private:
    /// The line that holds the next character.
    struct Line {
        std::size_t begin = 0;
        std::size_t indent = 0;  ///< its leading spaces
        std::size_t first = 0;   ///< offset of its first character that is no space and no tab
    };

    /// Blanks, comments and line breaks that were skipped.
    struct Gap {
        bool is_empty = true;
        bool ends_a_line = false;  ///< nothing but blanks stands before the next character
        std::size_t tab = std::string::npos;  ///< the first tab before it, on its line
    };

    /// Where the value of something may stand.
    struct Spot {
        long parent = -1;             ///< column of the list or map it belongs to; -1: the document
        bool may_share_line = false;  ///< a list or map may begin right here, as after `- `
        bool list_at_parent = false;  ///< the items of a list may stand in the column of the parent
    };

    /// A map that is being read.
    struct OpenMap {
        Node node;
        std::size_t offset = 0;           ///< of its first character
        std::map<std::string, int> seen;  ///< key and the line it stands on
    };

    // The document, and lists and maps by indentation: yaml.cpp.
    Node block_value(const Spot& spot, const SourceLocation& owner);
    Node text_or_map(const Spot& spot, const Gap& gap);
    [[nodiscard]] bool belongs_to(const Spot& spot) const;
    void require_block(const Spot& spot, const Gap& gap, const std::string& otherwise) const;
    Node block_list(std::size_t column);
    Node block_map(std::size_t column);
    Node block_map(std::size_t column, Node first_key, std::size_t begin);
    void block_entries(OpenMap& map, std::size_t column);
    void block_entry(OpenMap& map, std::size_t column, Node key);
    void explicit_entry(OpenMap& map, std::size_t column);
    Node implicit_key();
    bool goes_on(std::size_t column);
    void end_document();

    // In brackets: yaml_flow.cpp. `parent` is the column that their lines have to be right of.
    Node flow_node(long parent);
    Node flow_collection(long parent);
    Node flow_list(long parent);
    Node flow_map(long parent);
    Node flow_item(long parent, std::size_t open_bracket);
    void flow_entry(OpenMap& map, long parent, std::size_t open_bracket);
    Node flow_value(long parent,
                    std::size_t open_bracket,
                    bool may_touch,
                    const SourceLocation& owner);
    Gap flow_skip(long parent, std::size_t open_bracket);
    bool flow_goes_on(long parent, std::size_t open_bracket, char end);
    [[nodiscard]] bool at_flow_colon(bool may_touch) const;

    // Texts: yaml_text.cpp.
    Node begin_text(long parent, bool flow);
    void more_plain_lines(std::string& text, long parent, bool flow);
    std::string_view plain_line(bool flow);
    Node quoted(long parent);
    void quoted_break(std::string& text, long parent, bool escaped);
    void escape(std::string& text, long parent);
    char32_t escaped_number(std::size_t begin, std::size_t digits);
    Node block_text(long parent);
    std::size_t block_indent(long parent);
    std::string block_lines(std::size_t indent, bool folds, char chomping);
    [[noreturn]] void refuse_start(bool flow) const;

    // What all of them stand on: yaml.cpp.
    [[nodiscard]] char here() const { return source_.at(pos_); }

    [[nodiscard]] bool at_end() const { return pos_ >= text_.size(); }

    /// Whether `-`, `?` or `:` stands at the offset and means something, as nothing touches it.
    [[nodiscard]] bool is_indicator(std::size_t offset, char indicator, bool flow) const;
    [[nodiscard]] bool at_document_mark(std::size_t line) const;
    void enter_line(std::size_t begin);
    void skip_blanks();
    Gap skip();
    Node make(Node::Kind kind, std::size_t offset);
    Node open(Node::Kind kind, std::size_t offset);
    Node nothing(const SourceLocation& owner);
    static void add_entry(Node& map, Node key, Node value);
    void count_value();
    void check_key(OpenMap& map, const Node& key) const;
    [[noreturn]] void refuse_key(const SourceLocation& where, bool is_bracket) const;
    [[noreturn]] void refuse_rest() const;
    [[noreturn]] void refuse_tab(std::size_t offset) const;
    [[noreturn]] void fail(std::size_t offset,
                           const std::string& message,
                           const std::string& hint,
                           const std::string& rule = "yaml.syntax") const;

    const Source& source_;
    const std::string& text_;
    std::size_t pos_ = 0;
    Line line_;
    std::size_t depth_ = 0;
    std::size_t nodes_ = 0;
};

inline bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// Of plain text that stands for nothing.
inline bool is_null(std::string_view text) {
    return text == "~" || text == "null" || text == "Null" || text == "NULL";
}

/// Of brackets, and what separates in them.
inline bool is_flow_indicator(char c) {
    return std::string_view(",[]{}").find(c) != std::string_view::npos;
}

}  // namespace lockstep::yaml
