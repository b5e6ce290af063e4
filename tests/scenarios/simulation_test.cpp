#include "tests/scenarios/world.hpp"

#include <cstdlib>
#include <random>
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
    int trouble = 0;  ///< 0: nothing goes wrong any more
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
    }

    void start_over() {
        journal = FakeJournal();
        runner.start_over();
        runner.released.clear();
        runner.facts.paused = false;
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
            switch (chance.below(4)) {
                case 0:
                    pace.acts_after = request ? milliseconds{10'000 + chance.below(4'900)}
                                              : milliseconds{1'000 + chance.below(60'000)};
                    pace.no_answer = request;
                    course.told.push_back(where + " acts after " +
                                          std::to_string(pace.acts_after.count()) + " ms");
                    break;
                case 1:
                    pace.no_answer = request;
                    pace.never_acts = !request;
                    course.told.push_back(where +
                                          (request ? ": its answer is lost" : " is killed"));
                    break;
                case 2:
                    pace.never_acts = true;
                    pace.no_answer = true;
                    course.told.push_back(where + " is lost");
                    break;
                default:
                    pace.unreachable = true;
                    course.told.push_back(where + ": no way there");
            }
            return pace;
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
            death = 1 + chance.below(25);
            course.told.push_back("the engine dies at record " + std::to_string(death));
        } else if (chance.one_in(8)) {
            journal.fail_at = 1 + chance.below(25);
            course.told.push_back("the disk is full at record " + std::to_string(journal.fail_at));
        }
        if (chance.one_in(4)) {
            course.told.emplace_back("Ctrl-C");
            const Clock::Wall once = soon();
            runner.at(once, [source = stop]() mutable { source.request_stop(); });
            if (chance.one_in(2)) {
                course.told.emplace_back("Ctrl-C again");
                runner.at(once + milliseconds{chance.below(3'000)},
                          [this] { runner.cancel_all(); });
            }
        }
        if (chance.one_in(5)) {
            const std::string member = chance.one_of<std::string>({"n1", "n2", "n3"});
            course.told.push_back(member + " is booted anew");
            runner.at(soon(), [this, member] { runner.reboot(member); });
        }
        if (chance.one_in(6)) {
            broken = chance.one_of<std::string>({"n1", "n2", "n3"});
            course.told.push_back("the daemon of " + broken + " does not start");
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
            if (HasFailure()) {
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

    std::stop_source stop;
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
        go_through(course);
        if (HasFailure()) {
            std::string text;
            for (const std::string& line : course.told) {
                text += "  " + line + "\n";
            }
            for (const std::string& line : runner.course) {
                text += "    " + line + "\n";
            }
            ADD_FAILURE() << "LOCKSTEP_SEED=" << seed << " shows it:\n" << text;
            return;
        }
    }
}

}  // namespace
}  // namespace lockstep
