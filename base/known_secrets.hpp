#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <string_view>

/// The secrets that this process has had in hand, and how they are kept out of what it shows and
/// keeps. Known is what a reference of the inventory or a secret input gave; what commands and
/// servers answer is searched for it where it enters (steps/hiding.hpp, Error), so that nothing
/// behind that place has to think of it. One set for the whole process: whoever reads an answer
/// need not know who has read the secret. Safe to use from several threads.
namespace lockstep {

/// What stands where a secret stood.
inline constexpr std::string_view k_hidden = "***";
/// In bytes. Anything shorter is not looked for: it stands in every other word.
inline constexpr std::size_t k_shortest_secret = 4;

/// From now on the value is hidden: as it is, in base64, hexadecimal, in a URL, in JSON, and as
/// shells, SQL and HTML quote it; of several lines each by itself, too.
void remember_secret(std::string_view value);
/// A variable of the environment that holds one, where it is set: its value is hidden, and no
/// process that we start gets it.
void remember_secret_variable(const std::string& name);
[[nodiscard]] bool is_secret_variable(std::string_view name);
/// For tests: as in a process that has just begun.
void forget_secrets();

/// Puts k_hidden in the place of what is known. Whether there was anything.
bool hide_secrets(std::string& text);
/// The same for a text that was cut at its end: also of what may be the beginning of a secret.
bool hide_cut_secrets(std::string& text);
/// In the texts of a document, at any depth.
bool hide_secrets_in_texts(nlohmann::json& json);
/// In its keys and numbers, too: of one in which nothing is looked up by name any more.
bool hide_secrets(nlohmann::json& json);
[[nodiscard]] std::string without_secrets(std::string text);

}  // namespace lockstep
