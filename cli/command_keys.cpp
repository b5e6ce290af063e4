#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/seals.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

/// Makes the caller's own key where there is none: it is of no use before somebody trusts it.
int command_keys(const Options& options) {
    const std::string own = operator_identity() + " " + own_public_key();
    const std::vector<TrustedKey> keys = trusted_keys();
    if (options.output != Output::text) {
        nlohmann::json list = nlohmann::json::array();
        for (const TrustedKey& key : keys) {
            list.push_back({{"name", key.name}, {"key", key.key}, {"from", key.from}});
        }
        std::cout << json_text({{"own", own}, {"trusted", list}}, options.output);
        return 0;
    }
    Table table({"TRUSTED", "KEY", "FROM"});
    for (const TrustedKey& key : keys) {
        table.add({key.name, key.key, key.from});
    }
    std::cout << table.text(Terminal::on(STDOUT_FILENO))
              << "\nFor the trusted_keys of those who are to go on with your runs:\n    "
              << printable(own) << "\n";
    return 0;
}

}  // namespace lockstep
