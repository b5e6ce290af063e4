#include "base/language.hpp"

#include <algorithm>
#include <stdexcept>

namespace lockstep::language {

const Key* Place::key(std::string_view wanted) const {
    const auto found = std::ranges::find(keys, wanted, &Key::name);
    return found == keys.end() ? nullptr : &*found;
}

std::vector<std::string_view> names(const Place& place) {
    std::vector<std::string_view> all;
    for (const Key& key : place.keys) {
        if (!key.later) {
            all.push_back(key.name);
        }
    }
    return all;
}

const Place& find_place(const std::vector<Place>& places, std::string_view name) {
    const auto found = std::ranges::find(places, name, &Place::name);
    if (found == places.end()) {
        throw std::logic_error("no place is called " + std::string(name));
    }
    return *found;
}

}  // namespace lockstep::language
