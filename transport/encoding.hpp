#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep {

/// RFC 4648 base64; nothing when the text is not.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
[[nodiscard]] std::string base64_encode(std::string_view bytes);

/// `length` random bytes of the kernel as lower-case hexadecimal digits, two per byte.
[[nodiscard]] std::string random_hex(std::size_t length);

/// Reads the elements of SSH's wire format (RFC 4251, section 5) off the front of a view. A read
/// past the end makes it bad and gives zeros or empty strings from then on.
class WireReader {
  public:
    explicit WireReader(std::string_view bytes) : bytes_(bytes) {}

    [[nodiscard]] std::uint8_t byte();
    [[nodiscard]] std::uint32_t uint32();
    [[nodiscard]] std::string_view string();
    [[nodiscard]] std::string_view raw(std::size_t length);

    [[nodiscard]] bool good() const { return good_; }

  private:
    std::string_view bytes_;
    bool good_ = true;
};

/// Appends a number, or a string after its length, in the same format.
void put_uint32(std::string& bytes, std::uint32_t value);
void put_string(std::string& bytes, std::string_view value);

}  // namespace lockstep
