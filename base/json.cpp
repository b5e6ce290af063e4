#include "base/json.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

using Json = nlohmann::json;

/// Makes a document of what the parser meets; false, and it parses no further.
class DocumentBuilder final : public Json::json_sax_t {
  public:
    explicit DocumentBuilder(const JsonLimits& limits) : limits_(limits) {}

    bool null() override { return add(nullptr); }

    bool boolean(bool value) override { return add(value); }

    bool number_integer(std::int64_t value) override { return add(value); }

    bool number_unsigned(std::uint64_t value) override { return add(value); }

    bool number_float(double value, const std::string& /*text*/) override { return add(value); }

    bool binary(Json::binary_t& /*value*/) override { return refuse("is no JSON"); }

    bool string(std::string& value) override { return fits(value) && add(std::move(value)); }

    bool key(std::string& name) override {
        key_ = std::move(name);
        return fits(key_);
    }

    bool start_object(std::size_t /*size*/) override { return open(Json::object()); }

    bool start_array(std::size_t /*size*/) override { return open(Json::array()); }

    bool end_object() override { return close(); }

    bool end_array() override { return close(); }

    bool parse_error(std::size_t /*at*/,
                     const std::string& /*token*/,
                     const Json::exception& /*error*/) override {
        return refuse("is no JSON");
    }

    [[nodiscard]] ReadJson result() {
        return trouble_.empty() ? ReadJson{std::move(root_), {}}
                                : ReadJson{.trouble = std::move(trouble_)};
    }

  private:
    bool refuse(std::string why) {
        trouble_ = std::move(why);
        return false;
    }

    bool fits(const std::string& text) {
        return text.size() <= limits_.text ||
               refuse("holds a text of more than " + std::to_string(limits_.text) + " bytes");
    }

    bool add(Json value) { return put(std::move(value)) != nullptr; }

    /// Where it stands now; nullptr: it is one too many.
    Json* put(Json value) {
        if (++values_ > limits_.values) {
            refuse("holds more than " + std::to_string(limits_.values) + " values");
            return nullptr;
        }
        if (open_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        // The last of what is open: nothing is put beside a container before that is closed, so
        // the addresses stay.
        Json& into = *open_.back();
        if (into.is_array()) {
            into.push_back(std::move(value));
            return &into.back();
        }
        Json& member = into[key_];
        member = std::move(value);
        return &member;
    }

    bool open(Json container) {
        if (open_.size() >= static_cast<std::size_t>(limits_.depth)) {
            return refuse("nests deeper than " + std::to_string(limits_.depth) + " levels");
        }
        Json* const made = put(std::move(container));
        if (made == nullptr) {
            return false;
        }
        open_.push_back(made);
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    const JsonLimits& limits_;
    Json root_;
    std::vector<Json*> open_;
    std::string key_;
    std::size_t values_ = 0;
    std::string trouble_;
};

}  // namespace

ReadJson read_json(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.bytes) {
        return {.trouble = "is longer than " + std::to_string(limits.bytes) + " bytes"};
    }
    DocumentBuilder builder(limits);
    // nlohmann 3.11: the parser of sax_parse() keeps its own stack.
    Json::sax_parse(text.begin(), text.end(), &builder);
    return builder.result();
}

}  // namespace lockstep
