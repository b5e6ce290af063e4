#include "cluster/wal_explanation.hpp"

#include "base/or_null.hpp"
#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using Json = nlohmann::json;

/// A holder with the position from which on it needs WAL.
struct Held {
    WalHolder holder;
    Lsn from = 0;
};

std::string length_of(std::int64_t seconds) {
    return format_duration(std::chrono::seconds{seconds});
}

/// Start of the segment of `00000001000000000000001A`; a log is 4 GiB (PostgreSQL 11 to 18,
/// XLogFromFileName).
std::optional<Lsn> start_of(const std::string& file, std::int64_t segment_bytes) {
    if (file.size() != 24) {
        return std::nullopt;
    }
    const auto numbers = parse_lsn(file.substr(8, 8) + "/" + file.substr(16));
    if (!numbers) {
        return std::nullopt;
    }
    return (*numbers >> 32U << 32U) + (*numbers & 0xFFFFFFFFU) * static_cast<Lsn>(segment_bytes);
}

class Explainer {
  public:
    Explainer(const ClusterFacts& facts, const MemberFacts& member)
        : facts_(facts),
          member_(member),
          wal_(*member.wal),
          segment_(static_cast<Lsn>(wal_.segment_bytes)),
          redo_(wal_.redo.value_or(0)),
          position_(std::max({member.position.value_or(0), member.received.value_or(0), redo_})) {}

    WalExplanation explain() {
        explanation_.member = member_.name;
        explanation_.bytes = wal_.bytes;
        explanation_.files = wal_.files;
        add_slots();
        add_keep_size();
        add_archiving();
        add_checkpoint();
        decide();
        add_replay();
        add_base_backups();
        add_reuse();
        std::ranges::stable_sort(held_, std::ranges::greater{}, [](const Held& held) {
            return held.holder.bytes.value_or(0);
        });
        for (Held& held : held_) {
            explanation_.holders.push_back(std::move(held.holder));
        }
        return std::move(explanation_);
    }

  private:
    [[nodiscard]] Lsn floor(Lsn lsn) const { return lsn - lsn % segment_; }

    [[nodiscard]] const char* checkpoint() const {
        return member_.in_recovery ? "restartpoint" : "checkpoint";
    }

    void add(WalHolder holder, Lsn from) {
        holder.bytes = position_ > from ? static_cast<std::int64_t>(position_ - from) : 0;
        held_.push_back({std::move(holder), from});
    }

    void add_slots() {
        if (!member_.slots) {
            return;
        }
        for (const SlotFacts& slot : *member_.slots) {
            WalHolder holder{.kind = "slot", .name = slot.name};
            holder.text = "the slot " + slot.name + " " + rules::slot_service(facts_, slot);
            if (!slot.restart_lsn) {
                holder.text += slot.wal_status == "lost" ? "; lost, and so holds nothing"
                                                         : "; holds nothing yet";
                holder.bytes = 0;
                held_.push_back({std::move(holder), position_});
                continue;
            }
            holder.wrong = slot.stuck;
            holder.text += slot.stuck    ? "; inactive, and does not advance"
                           : slot.active ? "; active"
                                         : "; inactive";
            add(std::move(holder), *slot.restart_lsn);
        }
    }

    void add_keep_size() {
        if (wal_.keep_size > 0) {
            // It keeps what there is: a young pg_wal has less.
            const auto kept = static_cast<Lsn>(wal_.keep_size);
            const Lsn from = position_ > kept ? position_ - kept : 0;
            add({.kind = "keep_size",
                 .text = "wal_keep_size (" + format_bytes(wal_.keep_size) +
                         "): for replicas that fall behind without a slot"},
                from);
            std::int64_t& bytes = *held_.back().holder.bytes;
            if (wal_.oldest && position_ > *wal_.oldest) {
                bytes = std::min(bytes, static_cast<std::int64_t>(position_ - *wal_.oldest));
            }
        }
    }

    void add_archiving() {
        if (!wal_.archiver || (!wal_.archiving_fails && wal_.archiver->waiting.value_or(0) == 0)) {
            return;
        }
        const ArchiverFacts& archiver = *wal_.archiver;
        WalHolder holder{.kind = "archiving", .wrong = wal_.archiving_fails};
        holder.text = archiver.waiting
                          ? std::to_string(*archiver.waiting) +
                                (*archiver.waiting == 1 ? " segment waits" : " segments wait") +
                                " for archiving"
                          : std::string("what waits for archiving");
        Lsn from =
            floor(position_) -
            std::min(floor(position_), static_cast<Lsn>(archiver.waiting.value_or(0)) * segment_);
        if (wal_.archiving_fails) {
            holder.text += ", which fails" + (archiver.last_failed_wal.empty()
                                                  ? std::string()
                                                  : " for " + archiver.last_failed_wal);
            from = start_of(archiver.last_failed_wal, wal_.segment_bytes).value_or(from);
        }
        add(std::move(holder), from);
    }

    void add_checkpoint() {
        WalHolder holder{.kind = "checkpoint"};
        holder.text = std::string("since the last ") + checkpoint();
        if (wal_.checkpoint_age_seconds) {
            holder.text += ", " + length_of(*wal_.checkpoint_age_seconds) + " ago";
            if (wal_.checkpoint_timeout_seconds > 0) {
                holder.text +=
                    " (checkpoint_timeout " + length_of(wal_.checkpoint_timeout_seconds) + ")";
            }
        }
        holder.text += ": what a restart would need";
        holder.wrong = checkpoint_is_late();
        add(std::move(holder), redo_);
    }

    // A replica makes restartpoints from the leader's checkpoint records alone, and it may skip
    // one; an idle leader makes none (PostgreSQL 11 to 18, CreateRestartPoint).
    [[nodiscard]] bool checkpoint_is_late() const {
        return wal_.checkpoint_age_seconds && wal_.checkpoint_timeout_seconds > 0 &&
               *wal_.checkpoint_age_seconds > 3 * wal_.checkpoint_timeout_seconds &&
               position_ - redo_ > 2 * segment_;
    }

    // A replica keeps what it has received and not replayed, whoever else needs it; wal_keep_size
    // counts from what it has received (PostgreSQL 11 to 18, CreateRestartPoint).
    void add_replay() {
        const Lsn replayed = member_.position.value_or(position_);
        if (!member_.in_recovery || position_ < replayed + segment_) {
            return;
        }
        const auto delay = member_.apply_delay();
        held_.push_back(
            {{.kind = "replay",
              .text = "received and not replayed yet" +
                      (delay.count() > 0 ? ": recovery_min_apply_delay is " + format_duration(delay)
                                         : std::string()),
              .bytes = static_cast<std::int64_t>(position_ - replayed)},
             position_});
    }

    void add_base_backups() {
        if (wal_.base_backups > 0) {
            held_.push_back({{.kind = "base_backup",
                              .text = (wal_.base_backups == 1 ? std::string("a base backup is")
                                                              : std::to_string(wal_.base_backups) +
                                                                    " base backups are") +
                                      " being taken: WAL since its start is kept until it ends"},
                             position_});
        }
    }

    void add_reuse() {
        const Lsn end = floor(position_) + segment_;
        const std::int64_t used =
            wal_.oldest && end > *wal_.oldest ? static_cast<std::int64_t>(end - *wal_.oldest) : 0;
        if (wal_.oldest && wal_.bytes > used) {
            held_.push_back({{.kind = "reuse",
                              .text = "old segments that were renamed for WAL to come, within "
                                      "max_wal_size (" +
                                      format_bytes(wal_.max_wal_size) + ")",
                              .bytes = wal_.bytes - used},
                             position_});
        }
    }

    /// Those that hold the oldest file that anybody needs. What a restart needs is nobody's to
    /// give up: where it is among them it stands for all.
    [[nodiscard]] std::vector<Held*> oldest_of() {
        const Lsn oldest = floor(std::ranges::min_element(held_, {}, &Held::from)->from);
        std::vector<Held*> found;
        for (Held& held : held_) {
            if (floor(held.from) == oldest) {
                found.push_back(&held);
            }
        }
        const auto checkpoint = std::ranges::find_if(
            found, [](const Held* held) { return held->holder.kind == "checkpoint"; });
        return checkpoint == found.end() ? found : std::vector<Held*>{*checkpoint};
    }

    /// Where WAL begins that is needed by anybody but these.
    [[nodiscard]] Lsn needed_from(const std::vector<Held*>& without) const {
        Lsn from = position_;
        for (const Held& held : held_) {
            if (std::ranges::find(without, &held) == without.end()) {
                from = std::min(from, held.from);
            }
        }
        return floor(from);
    }

    // What is older than anybody needs goes when PostgreSQL looks, and that is at a checkpoint: a
    // slot that moves always leaves some. The decider is what would release most; several that
    // hold the same decide together, for without one of them nothing goes.
    void decide() {
        const std::vector<Held*> oldest = oldest_of();
        const Lsn needed = floor(oldest.front()->from);
        const Lsn there = wal_.oldest.value_or(needed);
        const Lsn next = needed_from(oldest);
        const Lsn begins = std::max(needed, there);
        const auto held = next > begins ? static_cast<std::int64_t>(next - begins) : 0;
        const auto left = needed > there ? static_cast<std::int64_t>(needed - there) : 0;
        if (left <= held) {
            explanation_.releases = held;
            for (Held* one : oldest) {
                one->holder.decides = true;
            }
            explain_deciders(oldest);
        }
        if (left > 0) {
            held_.push_back(
                {{.kind = "leftover",
                  .text = std::string("nobody needs it any more: it goes with the next ") +
                          checkpoint(),
                  .bytes = left,
                  .decides = left > held},
                 position_});
        }
        if (left > held) {
            explanation_.releases = left;
            explanation_.verdict = std::string("the next ") + checkpoint() +
                                   " decides: " + format_bytes(left) + " go with it";
            if (left > wal_.max_wal_size || checkpoint_is_late()) {
                explanation_.remedy = remedy_of_checkpoint();
            }
        }
    }

    [[nodiscard]] std::string remedy_of_checkpoint() const {
        if (!member_.in_recovery) {
            return "`CHECKPOINT` on " + member_.name +
                   " (a superuser, or pg_checkpoint from "
                   "PostgreSQL 15 on).";
        }
        const std::string leader = facts_.leader.empty() ? "the leader" : facts_.leader;
        return "A restartpoint needs a new checkpoint record of the leader: `CHECKPOINT` on " +
               leader + ", wait until " + member_.name + " has replayed it, then `CHECKPOINT` on " +
               member_.name + ".";
    }

    [[nodiscard]] static std::string name_of(const WalHolder& holder) {
        return holder.kind == "slot"        ? "the slot " + holder.name
               : holder.kind == "keep_size" ? std::string("wal_keep_size")
                                            : std::string("archiving");
    }

    /// wal_keep_size allows more than is there: nothing was kept by it yet that would have gone.
    [[nodiscard]] bool has_room(const Held& held) const {
        return held.holder.kind == "keep_size" && wal_.oldest &&
               held.from + segment_ <= *wal_.oldest;
    }

    void explain_deciders(const std::vector<Held*>& deciders) {
        const bool much = explanation_.releases > wal_.max_wal_size;
        const Held& first = *deciders.front();
        const bool wrong =
            std::ranges::any_of(deciders, [](const Held* held) { return held->holder.wrong; });
        if (first.holder.kind == "checkpoint") {
            explanation_.verdict =
                wrong || much
                    ? std::string("the next ") + checkpoint() +
                          " decides: " + format_bytes(explanation_.releases) + " go with it"
                    : std::string("nothing is kept but what a restart would need");
        } else if (deciders.size() == 1 && has_room(first)) {
            explanation_.verdict =
                "nothing is kept but what a restart would need, and what wal_keep_size allows (" +
                format_bytes(wal_.keep_size) + ")";
        } else {
            std::vector<std::string> names;
            for (const Held* held : deciders) {
                names.push_back(name_of(held->holder));
            }
            explanation_.verdict = rules::join_names(names) +
                                   (names.size() == 1 ? " decides: " : " decide together: ") +
                                   format_bytes(explanation_.releases) + " would go without " +
                                   (names.size() == 1 ? "it" : "them");
        }
        if (!wrong && !much) {
            explanation_.verdict += "; nothing is wrong";
            return;
        }
        for (const Held* held : deciders) {
            if (held->holder.wrong || !wrong) {
                const std::string remedy = remedy_of(held->holder);
                explanation_.remedy += (explanation_.remedy.empty() ? "" : " ") + remedy;
            }
        }
    }

    [[nodiscard]] std::string remedy_of(const WalHolder& decider) const {
        if (decider.kind == "slot") {
            const auto slot = std::ranges::find(*member_.slots, decider.name, &SlotFacts::name);
            if (slot->stuck) {
                return rules::slot_remedy(facts_, member_, *slot);
            }
            const bool copy =
                !member_.is_leader() && find_slot(facts_.leader_member(), slot->name) != nullptr;
            return slot->active || copy
                       ? rules::slot_holds_wal(facts_, member_, *slot)
                       : "Nothing is connected to it: connect its reader, or check again whether "
                         "it advances.";
        }
        if (decider.kind == "archiving") {
            return "Look for archive_command in PostgreSQL's log on " + member_.name +
                   "; remove nothing in pg_wal by hand.";
        }
        if (decider.kind == "keep_size") {
            return "Lower wal_keep_size in the dynamic configuration if that is too much.";
        }
        return remedy_of_checkpoint();
    }

    const ClusterFacts& facts_;
    const MemberFacts& member_;
    const WalFacts& wal_;
    Lsn segment_;
    Lsn redo_;
    Lsn position_;
    std::vector<Held> held_;
    WalExplanation explanation_;
};

}  // namespace

const WalHolder* WalExplanation::decider() const {
    const auto found = std::ranges::find_if(holders, &WalHolder::decides);
    return found == holders.end() ? nullptr : &*found;
}

Json WalExplanation::to_json() const {
    Json list = Json::array();
    for (const WalHolder& holder : holders) {
        list.push_back({{"kind", holder.kind},
                        {"name", or_null(holder.name)},
                        {"text", holder.text},
                        {"bytes", or_null(holder.bytes)},
                        {"wrong", holder.wrong},
                        {"decides", holder.decides}});
    }
    return {{"member", member},
            {"unknown", or_null(unknown)},
            {"bytes", unknown.empty() ? Json(bytes) : Json(nullptr)},
            {"files", unknown.empty() ? Json(files) : Json(nullptr)},
            {"holders", list},
            {"releases_bytes", releases},
            {"verdict", or_null(verdict)},
            {"remedy", or_null(remedy)}};
}

WalExplanation explain_wal(const ClusterFacts& facts, const MemberFacts& member) {
    if (member.wal && member.wal->segment_bytes > 0 && member.wal->redo) {
        return Explainer(facts, member).explain();
    }
    WalExplanation nothing;
    nothing.member = member.name;
    nothing.unknown = !member.sql.error.empty()   ? member.sql.error
                      : !member.ssh.error.empty() ? member.ssh.error
                                                  : "PostgreSQL was not asked";
    return nothing;
}

std::vector<WalExplanation> explain_wal(const ClusterFacts& facts) {
    std::vector<WalExplanation> all;
    for (const MemberFacts& member : facts.members) {
        all.push_back(explain_wal(facts, member));
    }
    return all;
}

}  // namespace lockstep
