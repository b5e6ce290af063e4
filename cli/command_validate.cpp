#include "cli/commands.hpp"

#include <iostream>

namespace lockstep {

int command_validate(const Options& options) {
    nlohmann::json list = nlohmann::json::array();
    bool good = true;
    for (const std::string& wanted : options.runbooks) {
        nlohmann::json errors = nlohmann::json::array();
        try {
            (void)find_runbook(wanted);
        } catch (const InputErrors& broken) {
            for (const InputError& error : broken.errors()) {
                errors.push_back({{"file", error.where().file},
                                  {"line", error.where().line},
                                  {"column", error.where().column},
                                  {"message", error.what()},
                                  {"hint", error.hint()}});
            }
        }
        good = good && errors.empty();
        list.push_back({{"runbook", wanted}, {"valid", errors.empty()}, {"errors", errors}});
        if (options.output != Output::text) {
            continue;
        }
        if (errors.empty()) {
            std::cout << wanted << ": valid\n";
        }
        for (const nlohmann::json& error : errors) {
            std::cout << error.at("message").get<std::string>() << "\n";
            if (!error.at("hint").get<std::string>().empty()) {
                std::cout << "HINT: " << error.at("hint").get<std::string>() << "\n";
            }
        }
    }
    if (options.output != Output::text) {
        std::cout << list.dump(2) << "\n";
    }
    return good ? 0 : 3;
}

}  // namespace lockstep
