#include "steps/actions/action.hpp"
#include "steps/catalog.hpp"

namespace lockstep {

namespace {

/// A gate that a person answers. The engine asks and takes the answer; nothing is run.
class Asks final : public Action {
  public:
    explicit Asks(bool by_hand) : by_hand_(by_hand) {}

    Preview preview(const StepCall& call,
                    const ClusterFacts& /*facts*/,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.because = by_hand_ ? "waits until somebody says that it is done: "
                                   : "waits until somebody says yes: ";
        preview.because += text_arg(call, by_hand_ ? "instructions" : "message");
        return preview;
    }

    StepResult run(const StepCall& /*call*/, ActionContext& /*context*/) const override {
        throw Error("a step that asks is not run");
    }

  private:
    bool by_hand_;
};

}  // namespace

std::unique_ptr<Action> make_approve() {
    return std::make_unique<Asks>(false);
}

std::unique_ptr<Action> make_manual() {
    return std::make_unique<Asks>(true);
}

}  // namespace lockstep
