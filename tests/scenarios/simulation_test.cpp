#include "tests/scenarios/world.hpp"

#include <gtest/gtest-spi.h>

#include <cstdlib>
#include <random>
#include <set>
#include <sstream>

namespace lockstep {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

/// One random course of events, made of a seed: what goes wrong when, and what people do about it.
/// The same seed gives the same course. LOCKSTEP_SEEDS=FROM-TO says which are tried, LOCKSTEP_SEED
/// shows one.
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

/// A world in which things take time and go wrong. Its invariants are watched by FakeRunner, and
/// held against the record here after each engine.
class Simulation : public World {
  protected:
    Simulation() {
        runner.clock = &clock;
        for (const char* action : {"hold", "release"}) {
            runner.previews[action] = [within = runner.previews.at(action)](
                                          const StepCall& call, const ClusterFacts& seen) {
                Preview preview = within(call, seen);
                preview.acts_within = 5s;
                return preview;
            };
        }
        // Somebody has to see it, since nothing else tells whether it was done.
        runner.previews["fragile"] = [](const StepCall&, const ClusterFacts&) {
            Preview preview;
            preview.no_way_back = "it is a script";
            return preview;
        };
        // Also of an engine that is dead by now: whoever looks has to see whose pause it is.
        runner.workers["hold"] = [this, within = runner.workers.at("hold")](const StepCall& call,
                                                                            ClusterFacts& now) {
            EXPECT_NE(runner.lock_sign, "") << "a pause that no lock speaks of";
            return within(call, now);
        };
    }

    void start_over() {
        journal = FakeJournal();
        runner.start_over();
        runner.released.clear();
        runner.lock_sign.clear();
        runner.facts.paused = false;
        runner.facts.leader = "n1";
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.installed = "old";
        }
        happened.clear();
        broken.clear();
        state.reset();
        stop = std::stop_source();
    }

    /// A runbook of the kind that people write: a pause around changes of members, with what may
    /// stand beside it.
    static std::string make_runbook(Chance& chance) {
        std::ostringstream text;
        const auto options = [&] {
            std::string more;
            if (chance.one_in(3)) {
                more += ", timeout: " + chance.one_of<std::string>({"1s", "3s", "20s"});
            }
            if (chance.one_in(4)) {
                more += ", retry: {attempts: 3, delay: 1s}";
            }
            if (chance.one_in(5)) {
                more += ", in_doubt: " + chance.one_of<std::string>({"retry", "fail", "verify"});
            }
            if (chance.one_in(6)) {
                more +=
                    ", on_failure: " + chance.one_of<std::string>({"continue", "rollback", "stop"});
            }
            return more;
        };
        text << "- {id: gate, uses: look}\n- {id: hold, uses: hold" << options() << "}\n";
        text << "- id: replicas\n  on: replicas\n";
        if (chance.one_in(3)) {
            text << "  strategy: {batch: all}\n";
        }
        text << "  steps: [{id: change, uses: change" << options()
             << "}, {id: seen, uses: look}]\n";
        if (chance.one_in(3)) {
            text << "- {id: script, on: n2, uses: fragile, undo: none" << options() << "}\n";
        }
        if (!chance.one_in(4)) {
            text << "- {id: leader, on: leader, uses: change" << options() << "}\n";
        }
        text << "- {id: release, uses: release}\n- {id: end, uses: look}\n";
        return text.str();
    }

    static std::string make_head(Chance& chance) {
        std::string head;
        if (chance.one_in(2)) {
            head += "on_failure: rollback\n";
        }
        if (chance.one_in(4)) {
            head += "always: [{id: told, uses: look}]\n";
        }
        return head;
    }

    /// How each call goes: most of them well.
    void make_pace(Chance& chance, Course& course) {
        runner.pace = [&chance, &course](const StepCall& call) {
            FakeRunner::Pace pace;
            pace.acts_after = milliseconds{20 + chance.below(400)};
            if (course.trouble == 0 || !chance.one_in(6)) {
                return pace;
            }
            const bool request = call.uses == "hold" || call.uses == "release";
            const std::string where = call.id + (call.member.empty() ? "" : " on " + call.member);
            FakeRunner::Pace bad = pace;
            std::string what = where;
            switch (chance.below(4)) {
                case 0:
                    bad.acts_after = request ? milliseconds{10'000 + chance.below(4'900)}
                                             : milliseconds{1'000 + chance.below(60'000)};
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
        const auto soon = [&] { return clock.wall_now() + milliseconds{chance.below(15'000)}; };
        stop = std::stop_source();
        journal.count_from_here();
        journal.die_before = journal.die_after = journal.fail_at = 0;
        if (course.trouble == 0) {
            return;
        }
        if (chance.one_in(3)) {
            int& death = chance.one_in(2) ? journal.die_after : journal.die_before;
            const int record = 1 + chance.below(25);
            if (course.happens("the engine dies at record " + std::to_string(record))) {
                death = record;
            }
        } else if (chance.one_in(8)) {
            const int record = 1 + chance.below(25);
            if (course.happens("the disk is full at record " + std::to_string(record))) {
                journal.fail_at = record;
            }
        }
        if (chance.one_in(4)) {
            const Clock::Wall once = soon();
            if (course.happens("Ctrl-C")) {
                runner.at(once, [source = stop]() mutable { source.request_stop(); });
            }
            const Clock::Wall twice = once + milliseconds{chance.below(3'000)};
            if (chance.one_in(2) && course.happens("Ctrl-C again")) {
                runner.at(twice, [this] { runner.cancel_all(); });
            }
        }
        if (chance.one_in(5)) {
            const std::string member = chance.one_of<std::string>({"n1", "n2", "n3"});
            const Clock::Wall at = soon();
            if (course.happens(member + " is booted anew")) {
                runner.at(at, [this, member] { runner.reboot(member); });
            }
        }
        if (chance.one_in(8)) {
            const std::string member = chance.one_of<std::string>({"n2", "n3"});
            const Clock::Wall at = soon();
            if (course.happens("the leader lock goes to " + member)) {
                runner.at(at, [this, member] { leads(member); });
            }
        }
        if (chance.one_in(6)) {
            const std::string member = chance.one_of<std::string>({"n1", "n2", "n3"});
            if (course.happens("the daemon of " + member + " does not start")) {
                broken = member;
            }
        }
    }

    void leads(const std::string& leader) {
        runner.facts.leader = leader;
        for (MemberFacts& member : runner.facts.members) {
            member.role = member.name == leader ? "leader" : "replica";
        }
    }

    /// One engine; nullopt: it died, or its journal could not be written.
    std::optional<RunEnd> engine(const std::function<RunEnd()>& work) {
        runner.released.clear();
        try {
            RunEnd end = work();
            hold_against_the_record(end);
            return end;
        } catch (const FakeJournal::Death&) {
            EXPECT_TRUE(!runner.facts.paused || !runner.lock_sign.empty())
                << "the engine is dead, and nothing on the members says whose pause it is";
        } catch (const JournalError&) {
            EXPECT_TRUE(runner.still_open().empty() || !left().empty())
                << "the journal failed, and the lock went without a sign";
        }
        runner.engine_died();
        return std::nullopt;
    }

    [[nodiscard]] std::string left() const {
        return runner.released.empty() ? "nobody released it" : runner.released.back();
    }

    void hold_against_the_record(const RunEnd& end) {
        const std::vector<std::string> open = runner.still_open();
        if (!open.empty()) {
            EXPECT_EQ(end.exit_code, 13) << open.front() << " may still act: " << end.message;
            EXPECT_NE(left(), "") << "the lock went without a sign under " << open.front();
        }
        if (end.exit_code == 0 || end.exit_code == 11) {
            EXPECT_TRUE(state->open_calls().empty()) << end.message;
            EXPECT_TRUE(state->temporaries().empty()) << end.message;
            EXPECT_FALSE(runner.facts.paused) << "it stays paused, and nobody says so";
        }
        if (runner.facts.paused && state->temporaries().empty()) {
            ADD_FAILURE() << "the pause is in force and not on record: " << end.message;
        }
        if (!state->temporaries().empty()) {
            EXPECT_NE(left(), "") << "a pause stays, and the lock does not say so";
        }
    }

    /// People take it up again and again, until there is nothing left to do.
    void go_through(Course& course) {
        Chance chance(course.seed);
        start_over();
        const std::string text = make_runbook(chance);
        const std::string head = make_head(chance);
        course.told = {head + text};
        runner.pace = nullptr;
        const Plan planned = plan(text, head);
        ASSERT_TRUE(planned.ready()) << planned.blocked_by.front().message;
        make_pace(chance, course);
        make_trouble(chance, course);
        std::optional<RunEnd> end = engine([&] { return run(planned, stop.get_token()); });
        bool back = false;
        for (int tries = 0; tries < 14 && !journal.headers.empty(); ++tries) {
            if (end && (end->phase == RunPhase::succeeded || end->phase == RunPhase::rolled_back)) {
                break;
            }
            if (tries == 8) {
                course.trouble = 0;  // now the world is kind, and it must come to an end
                broken.clear();
            }
            clock.advance(milliseconds{chance.below(4) == 0 ? chance.below(90'000) : 10});
            runner.catch_up();
            back = back || (tries > 0 && chance.one_in(5));
            course.told.emplace_back(back ? "-- rollback" : "-- resume");
            runner.course.push_back(
                "-- " + (end ? std::to_string(end->exit_code) + " " + end->message : "dead") +
                (back ? ", then rollback" : ", then resume"));
            make_trouble(chance, course);
            TakeUp by;
            by.once_more = true;
            by.answers.redo =
                tries > 2 ? std::vector<std::string>{"script"} : std::vector<std::string>{};
            end = engine([&] {
                return back ? take_up(roll_back_run, by, stop.get_token())
                            : resume(by, stop.get_token());
            });
            if (failures_->size() > 0) {
                return;
            }
        }
        clock.advance(std::chrono::minutes{10});
        runner.catch_up();
        for (const std::string& violation : runner.violations) {
            ADD_FAILURE() << violation;
        }
        if (end) {
            hold_against_the_record(*end);
            if (end->phase == RunPhase::rolled_back) {
                EXPECT_TRUE(all_are("old")) << "rolled back, and not as it was";
            }
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

    std::stop_source stop;

  private:
    const testing::TestPartResultArray* failures_ = nullptr;  ///< of the course under way
};

std::pair<std::uint64_t, std::uint64_t> seeds() {
    if (const char* one = std::getenv("LOCKSTEP_SEED")) {
        const std::uint64_t seed = std::strtoull(one, nullptr, 10);
        return {seed, seed + 1};
    }
    const char* range = std::getenv("LOCKSTEP_SEEDS");
    if (range == nullptr) {
        return {1, 1500};
    }
    char* next = nullptr;
    const std::uint64_t from = std::strtoull(range, &next, 10);
    return {from, std::strtoull(*next == '-' ? next + 1 : next, nullptr, 10) + 1};
}

TEST_F(Simulation, OfRandomCoursesNeverActsUnseen) {
    const auto [from, to] = seeds();
    // As many as this takes on any machine and under any sanitizer, unless they were asked for.
    const bool asked =
        std::getenv("LOCKSTEP_SEED") != nullptr || std::getenv("LOCKSTEP_SEEDS") != nullptr;
    const auto ends = std::chrono::steady_clock::now() + 40s;
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
        for (const std::string& line : runner.course) {
            text += "    " + line + "\n";
        }
        FAIL() << "LOCKSTEP_SEED=" << seed << " shows it:\n" << wrong << text;
    }
}

}  // namespace
}  // namespace lockstep
