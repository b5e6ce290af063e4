#pragma once

#include "engine/run/run.hpp"
#include "tests/fakes/fake_journal.hpp"
#include "tests/fakes/fake_runner.hpp"

#include <gtest/gtest-spi.h>

#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// One random course of events, made of a seed: what goes wrong when, and what people do about it.
/// The same seed gives the same course.
class Chance {
  public:
    explicit Chance(std::uint64_t seed) : engine_(seed * 0x9E3779B97F4A7C15U + 1) {}

    [[nodiscard]] int below(int limit) {
        return static_cast<int>(engine_() % static_cast<std::uint64_t>(limit));
    }

    [[nodiscard]] bool one_in(int n) { return below(n) == 0; }

    template <typename T>
    [[nodiscard]] T one_of(std::initializer_list<T> values) {
        return *(values.begin() + below(static_cast<int>(values.size())));
    }

  private:
    std::mt19937_64 engine_;
};

/// What is to go wrong, in words, for whoever looks at a seed that failed.
struct Course {
    std::uint64_t seed = 0;
    std::vector<std::string> told;
    int trouble = 0;    ///< 0: nothing goes wrong any more
    int events = 0;     ///< that went wrong, or would have
    std::set<int> off;  ///< numbers of those that do not happen this time

    /// Whether this goes wrong now.
    [[nodiscard]] bool happens(std::string what) {
        const bool now = !off.contains(events++);
        if (now) {
            told.push_back(std::move(what));
        }
        return now;
    }
};

/// Runs in a world in which things take time and go wrong. Its invariants are watched by
/// FakeRunner, and held against the record here after each engine. LOCKSTEP_SEEDS=FROM-TO says
/// which seeds are tried, LOCKSTEP_SEED shows one.
class Simulated {
  public:
    Simulated(const Simulated&) = delete;
    Simulated& operator=(const Simulated&) = delete;

  protected:
    Simulated(FakeRunner& runner, FakeJournal& journal, FakeClock& clock)
        : world_(runner), journal_(journal), clock_(clock) {
        runner.clock = &clock;
        runner.on_idle_wait = [&clock] { clock.advance(std::chrono::milliseconds{200}); };
    }

    virtual ~Simulated() = default;

    /// Everything is as at the start, and a plan is made.
    virtual void prepare(Chance& chance, Course& course) = 0;
    virtual RunEnd begin(std::stop_token stop) = 0;
    virtual RunEnd take_up(bool back, const TakeUp& by, std::stop_token stop) = 0;
    virtual const RunState& record() = 0;
    /// What is wrong at a good end; empty: nothing.
    virtual std::string wrong_at_end(RunPhase phase) = 0;

    /// Nothing is broken any more.
    virtual void become_kind() {}

    virtual void more_trouble(Chance& /*chance*/, Course& /*course*/) {}

    // What happens to the pause, by this run or by somebody else. Who pauses what is paused changes
    // nothing.
    void pause(bool by_us) {
        ours_ = world_.facts.paused ? ours_ : by_us;
        set_paused(true);
    }

    void lift_pause() {
        ours_ = false;
        set_paused(false);
    }

    [[nodiscard]] bool meddled() const { return meddled_; }

    /// A daemon ends. After ttl its member is not in the DCS any more.
    void goes_down(const std::string& name) {
        if (!down_.insert(name).second) {
            return;
        }
        MemberFacts& member = *world_.facts.find(name);
        member.patroni.running.clear();
        member.api = {.asked = true, .error = "connection refused", .hint = {}};
        const int time = ++downs_;
        down_since_[name] = time;
        world_.at(clock_.wall_now() + std::chrono::seconds{25}, [this, name, time] {
            if (down_.contains(name) && down_since_[name] == time) {
                leaves(name);
            }
        });
    }

    void comes_up(const std::string& name, const std::string& version) {
        down_.erase(name);
        world_.away.erase(name);
        MemberFacts& member = *world_.facts.find(name);
        member.patroni.running = version;
        member.api = {.asked = true, .error = {}, .hint = {}};
        member.listed = true;
        if (world_.facts.leader.empty() && !member.in_recovery) {
            world_.facts.leader = name;
        }
        name_roles();
    }

    [[nodiscard]] bool is_down(const std::string& name) const { return down_.contains(name); }

    /// As if a replica had been promoted, and the old leader had followed at once.
    void leads(const std::string& leader) {
        world_.facts.leader = leader;
        for (MemberFacts& member : world_.facts.members) {
            member.in_recovery = member.name != leader;
            member.state = member.in_recovery ? "streaming" : "running";
        }
        name_roles();
    }

    void forget_the_world() {
        journal_ = FakeJournal();
        world_.start_over();
        world_.released.clear();
        world_.lock_sign.clear();
        world_.pace = nullptr;
        world_.before_preview = nullptr;
        down_.clear();
        ours_ = meddled_ = moved_ = false;
        stop_ = std::stop_source();
    }

    /// People take it up again and again, until there is nothing left to do.
    void go_through(Course& course) {
        Chance chance(course.seed);
        forget_the_world();
        prepare(chance, course);
        make_pace(chance, course);
        make_trouble(chance, course);
        std::optional<RunEnd> end = engine([&] { return begin(stop_.get_token()); });
        bool back = false;
        bool refused = false;  ///< a way back that would end badly: on it goes, then
        for (int tries = 0; tries < 16 && !journal_.headers.empty(); ++tries) {
            if (end && is_good(*end)) {
                break;
            }
            if (tries == 8) {
                course.trouble = 0;  // now the world is kind, and it must come to an end
                become_kind();
            }
            clock_.advance(std::chrono::milliseconds{
                chance.below(4) == 0 || tries >= 8 ? chance.below(90'000) : 10});
            world_.catch_up();
            const bool another = end && end->exit_code == 17;  // only a rollback gets on from there
            refused = refused || (back && end && end->exit_code == 4);
            back = back || (tries > 0 && chance.one_in(another ? 2 : 5)) || (tries > 8 && another);
            back = back && !refused;
            course.told.emplace_back(back ? "-- rollback" : "-- resume");
            world_.course.push_back(
                "-- " + (end ? std::to_string(end->exit_code) + " " + end->message : "dead") +
                (back ? ", then rollback" : ", then resume"));
            make_trouble(chance, course);
            TakeUp by;
            by.once_more = true;
            by.answers.redo =
                tries > 2 ? std::vector<std::string>{"script"} : std::vector<std::string>{};
            end = engine([&] { return take_up(back, by, stop_.get_token()); });
            if (failures_->size() > 0) {
                return;
            }
        }
        clock_.advance(std::chrono::minutes{10});
        world_.catch_up();
        for (const std::string& violation : world_.violations) {
            ADD_FAILURE() << violation;
        }
        if (end) {
            hold_against_the_record(*end);
            EXPECT_TRUE(is_good(*end) || meddled_ || moved_)
                << "all is well, and it comes to no end: " << end->exit_code << " " << end->message;
            if (is_good(*end)) {
                EXPECT_EQ(wrong_at_end(end->phase), "");
            }
        }
    }

    /// As many of the seeds as this takes on any machine and under any sanitizer, unless they were
    /// asked for.
    void try_seeds(std::uint64_t last, std::chrono::seconds at_most) {
        const auto [from, to] = seeds(last);
        const bool asked =
            std::getenv("LOCKSTEP_SEED") != nullptr || std::getenv("LOCKSTEP_SEEDS") != nullptr;
        const auto ends = std::chrono::steady_clock::now() + at_most;
        for (std::uint64_t seed = from; seed < to; ++seed) {
            if (!asked && std::chrono::steady_clock::now() > ends) {
                break;
            }
            Course course{.seed = seed, .trouble = 1};
            if (verdict(course).empty()) {
                continue;
            }
            Course shortest = shrink(course);
            const std::string wrong =
                verdict(shortest = {.seed = seed, .trouble = 1, .off = shortest.off});
            std::string text;
            for (const std::string& line : shortest.told) {
                text += "  " + line + "\n";
            }
            for (const std::string& line : world_.course) {
                text += "    " + line + "\n";
            }
            ADD_FAILURE() << "LOCKSTEP_SEED=" << seed << " shows it:\n" << wrong << text;
            if (std::getenv("LOCKSTEP_ALL_SEEDS") == nullptr) {
                return;
            }
        }
    }

  private:
    static bool is_good(const RunEnd& end) {
        return end.phase == RunPhase::succeeded || end.phase == RunPhase::rolled_back;
    }

    static std::pair<std::uint64_t, std::uint64_t> seeds(std::uint64_t last) {
        if (const char* one = std::getenv("LOCKSTEP_SEED")) {
            const std::uint64_t seed = std::strtoull(one, nullptr, 10);
            return {seed, seed + 1};
        }
        const char* range = std::getenv("LOCKSTEP_SEEDS");
        if (range == nullptr) {
            return {1, last + 1};
        }
        char* next = nullptr;
        const std::uint64_t from = std::strtoull(range, &next, 10);
        return {from, std::strtoull(*next == '-' ? next + 1 : next, nullptr, 10) + 1};
    }

    void set_paused(bool paused) {
        world_.facts.paused = paused;
        for (MemberFacts& member : world_.facts.members) {
            member.paused = paused;
        }
    }

    /// Its key has expired. Under a pause nobody takes the lead; without one the next does.
    void leaves(const std::string& name) {
        world_.away.insert(name);
        world_.facts.find(name)->listed = false;
        if (world_.facts.leader == name) {
            world_.facts.leader.clear();
            if (!world_.facts.paused) {
                moved_ = true;
                leads(name == "n2" ? "n3" : "n2");
            }
        }
        name_roles();
    }

    void name_roles() {
        for (MemberFacts& member : world_.facts.members) {
            member.role = member.name == world_.facts.leader ? "leader"
                          : member.in_recovery               ? "replica"
                                                             : "primary";
        }
    }

    /// How each call goes: most of them well.
    void make_pace(Chance& chance, Course& course) {
        world_.before_preview = [&chance, &course](const StepCall& call) {
            if (course.trouble > 0 && chance.one_in(80) &&
                course.happens(call.id + " on " + call.member + " cannot be made")) {
                throw Error("`never` is not a length of time");
            }
        };
        world_.pace = [this, &chance, &course](const StepCall& call) {
            FakeRunner::Pace pace;
            pace.acts_after = std::chrono::milliseconds{20 + chance.below(400)};
            if (course.trouble == 0 || !chance.one_in(6)) {
                return pace;
            }
            const auto& spooled = world_.spooled;
            const bool request =
                std::find(spooled.begin(), spooled.end(), call.uses) == spooled.end() &&
                !call.only_looks;
            const std::string where = call.id + (call.member.empty() ? "" : " on " + call.member);
            FakeRunner::Pace bad = pace;
            std::string what = where;
            switch (chance.below(4)) {
                case 0:
                    bad.acts_after = request
                                         ? std::chrono::milliseconds{10'000 + chance.below(4'900)}
                                         : std::chrono::milliseconds{1'000 + chance.below(60'000)};
                    bad.no_answer = request;
                    what += " acts after " + std::to_string(bad.acts_after.count()) + " ms";
                    break;
                case 1:
                    bad.no_answer = request;
                    bad.never_acts = !request;
                    what += request ? ": its answer is lost" : " is killed";
                    break;
                case 2:
                    bad.never_acts = true;
                    bad.no_answer = true;
                    what += " is lost";
                    break;
                default:
                    bad.unreachable = true;
                    what += ": no way there";
            }
            return course.happens(std::move(what)) ? bad : pace;
        };
    }

    /// What happens beside: within the first minute of an engine.
    void make_trouble(Chance& chance, Course& course) {
        stop_ = std::stop_source();
        journal_.count_from_here();
        journal_.die_before = journal_.die_after = journal_.fail_at = 0;
        if (course.trouble == 0) {
            return;
        }
        break_journal(chance, course);
        if (chance.one_in(4)) {
            const Clock::Wall once = soon(chance);
            if (course.happens("Ctrl-C")) {
                world_.at(once, [source = stop_]() mutable { source.request_stop(); });
            }
            const Clock::Wall twice = once + std::chrono::milliseconds{chance.below(3'000)};
            if (chance.one_in(2) && course.happens("Ctrl-C again")) {
                world_.at(twice, [this] { world_.cancel_all(); });
            }
        }
        if (chance.one_in(5)) {
            const auto member = chance.one_of<std::string>({"n1", "n2", "n3"});
            const Clock::Wall at = soon(chance);
            if (course.happens(member + " is booted anew")) {
                world_.at(at, [this, member] { world_.reboot(member); });
            }
        }
        if (chance.one_in(8)) {
            const auto member = chance.one_of<std::string>({"n2", "n3"});
            const Clock::Wall at = soon(chance);
            if (course.happens("the leader lock goes to " + member)) {
                world_.at(at, [this, member] {
                    if (!is_down(member)) {
                        moved_ = true;
                        leads(member);
                    }
                });
            }
        }
        if (chance.one_in(8)) {
            const auto member = chance.one_of<std::string>({"n1", "n2", "n3"});
            const Clock::Wall at = soon(chance);
            const Clock::Wall again = at + std::chrono::milliseconds{chance.below(120'000)};
            if (course.happens("the daemon of " + member + " ends, and comes back later")) {
                daemon_ends(member, at, again);
            }
        }
        if (chance.one_in(8)) {
            meddle(chance, course);
        }
        more_trouble(chance, course);
    }

    void break_journal(Chance& chance, Course& course) {
        if (chance.one_in(3)) {
            int& death = chance.one_in(2) ? journal_.die_after : journal_.die_before;
            const int record = 1 + chance.below(25);
            if (course.happens("the engine dies at record " + std::to_string(record))) {
                death = record;
            }
        } else if (chance.one_in(8)) {
            const int record = 1 + chance.below(25);
            if (course.happens("the disk is full at record " + std::to_string(record))) {
                journal_.fail_at = record;
            }
        }
    }

    void daemon_ends(const std::string& member, Clock::Wall at, Clock::Wall again) {
        world_.at(at, [this, member, again] {
            if (is_down(member)) {
                return;  // for a reason of its own
            }
            const std::string version = world_.facts.find(member)->patroni.running;
            goes_down(member);
            const int time = downs_;
            world_.at(std::max(again, clock_.wall_now()), [this, member, version, time] {
                if (is_down(member) && down_since_[member] == time) {
                    comes_up(member, version);
                }
            });
        });
    }

    /// Somebody else at the same cluster.
    void meddle(Chance& chance, Course& course) {
        const Clock::Wall at = soon(chance);
        const int what = chance.below(3);
        const auto does = [&](const char* told, auto act) {
            if (course.happens(std::string("somebody else ") + told)) {
                world_.at(at, [this, act] {
                    meddled_ = true;
                    act();
                });
            }
        };
        if (what == 0) {
            does("pauses", [this] { pause(false); });
        } else if (what == 1) {
            does("lifts the pause", [this] { lift_pause(); });
        } else {
            does("changes the configuration", [this] { world_.facts.config["loop_wait"] = 7; });
        }
    }

    [[nodiscard]] Clock::Wall soon(Chance& chance) {
        return clock_.wall_now() + std::chrono::milliseconds{chance.below(15'000)};
    }

    /// One engine; nullopt: it died, or its journal could not be written.
    std::optional<RunEnd> engine(const std::function<RunEnd()>& work) {
        world_.released.clear();
        try {
            RunEnd end = work();
            hold_against_the_record(end);
            world_.engine_died();
            return end;
        } catch (const FakeJournal::Death&) {
            EXPECT_TRUE(!our_pause() || !world_.lock_sign.empty())
                << "the engine is dead, and nothing on the members says whose pause it is";
        } catch (const JournalError&) {  // an Error, too
            EXPECT_TRUE(world_.still_open().empty() || !left().empty())
                << "the journal failed, and the lock went without a sign";
        } catch (const Error& error) {
            world_.course.push_back(std::string("it could not begin: ") + error.what());
            EXPECT_TRUE(!our_pause() || !world_.lock_sign.empty())
                << "nothing was begun, and nothing on the members says any more whose pause it is";
            EXPECT_FALSE(world_.released.empty()) << "nobody released the lock";
        }
        world_.engine_died();
        return std::nullopt;
    }

    [[nodiscard]] bool our_pause() const { return world_.facts.paused && ours_; }

    [[nodiscard]] std::string left() const {
        return world_.released.empty() ? "nobody released it" : world_.released.back();
    }

    void hold_against_the_record(const RunEnd& end) {
        const std::vector<std::string> open = world_.still_open();
        if (!open.empty()) {
            EXPECT_EQ(end.exit_code, 13) << open.front() << " may still act: " << end.message;
            EXPECT_NE(left(), "") << "the lock went without a sign under " << open.front();
        }
        if (end.exit_code == 0 || end.exit_code == 11) {
            EXPECT_TRUE(record().open_calls().empty()) << end.message;
            EXPECT_TRUE(record().temporaries().empty()) << end.message;
            EXPECT_FALSE(our_pause()) << "it stays paused, and nobody says so";
        }
        if (our_pause() && record().temporaries().empty()) {
            ADD_FAILURE() << "the pause is in force and not on record: " << end.message;
        }
        if (!record().temporaries().empty()) {
            EXPECT_NE(left(), "") << "a pause stays, and the lock does not say so";
        }
    }

    /// What is wrong with a course; empty: nothing. It is kept from the test, since a course that
    /// fails is tried again with fewer events.
    std::string verdict(Course& course) {
        testing::TestPartResultArray results;
        failures_ = &results;
        {
            const testing::ScopedFakeTestPartResultReporter reporter(
                testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
            go_through(course);
        }
        failures_ = nullptr;
        std::string text;
        for (int n = 0; n < results.size(); ++n) {
            text += std::string(results.GetTestPartResult(n).message()) + "\n";
        }
        return text;
    }

    /// The fewest events that still show it, tried one by one: a person has to understand them.
    Course shrink(const Course& failed) {
        Course best = failed;
        for (int event = 0; event < failed.events; ++event) {
            Course fewer{.seed = failed.seed, .trouble = 1, .off = best.off};
            fewer.off.insert(event);
            if (!verdict(fewer).empty()) {
                best = fewer;
            }
        }
        return best;
    }

    FakeRunner& world_;
    FakeJournal& journal_;
    FakeClock& clock_;
    std::stop_source stop_;
    const testing::TestPartResultArray* failures_ = nullptr;  ///< of the course under way
    std::set<std::string> down_;                              ///< members without a daemon
    std::map<std::string, int> down_since_;  ///< which of all the ends of daemons that was
    int downs_ = 0;
    bool ours_ = false;     ///< the pause that is in force is this run's
    bool meddled_ = false;  ///< somebody else was at the cluster
    bool moved_ = false;    ///< the leader lock went to another member
};

}  // namespace lockstep
