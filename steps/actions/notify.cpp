#include "steps/catalog.hpp"

namespace lockstep {

namespace {

std::vector<std::string> targets_of(const StepCall& call, const Cluster& cluster) {
    return call.with.contains("to") ? list_arg(call, "to") : cluster.notify_targets;
}

/// The first line is what people read first, the rest what they read then.
Notification notification_of(const StepCall& call, const ActionContext& context) {
    Notification notification{.event = "message",
                              .run = context.run,
                              .cluster = context.cluster.name,
                              .runbook = {},
                              .text = {},
                              .details = {},
                              .more = {{"step", call.id}}};
    if (!call.member.empty()) {
        notification.more["member"] = call.member;
    }
    const std::string message = text_arg(call, "message");
    std::size_t end = message.find('\n');
    notification.text = message.substr(0, end);
    while (end != std::string::npos && end + 1 < message.size()) {
        const std::size_t begin = end + 1;
        end = message.find('\n', begin);
        notification.details.push_back(message.substr(begin, end - begin));
    }
    return notification;
}

/// Changes nothing, and fails for nobody: a chat that is down must not stop an upgrade half way.
class Notify final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& /*facts*/,
                    const Cluster& cluster) const override {
        const std::string message = text_arg(call, "message");
        Preview preview;
        preview.because = "always";
        for (const std::string& target : targets_of(call, cluster)) {
            preview.operations.push_back({Operation::Kind::local, "notify " + target});
            preview.operations.back().text += ": " + message;
            if (auto refusal = refuse_target(target, cluster)) {
                preview.blocked_by.push_back(std::move(*refusal));
            }
        }
        if (preview.operations.empty()) {
            preview.verdict = Verdict::wont;
            preview.because = "the inventory has nobody to notify";
        }
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const Notification notification = notification_of(call, context);
        StepResult result;
        std::string reached;
        std::string missed;
        for (const std::string& target : targets_of(call, context.cluster)) {
            const std::string trouble = context.notify(target, notification);
            if (context.stop.stop_requested()) {
                return {.outcome = StepOutcome::cancelled,
                        .message = "stopped while it notified " + target};
            }
            std::string& list = trouble.empty() ? reached : missed;
            list += (list.empty() ? "" : ", ") + target;
            if (!trouble.empty()) {
                result.unproven.push_back("the notification to " + target);
                result.unproven.back() += " failed: " + trouble;
            }
        }
        result.message = reached.empty() ? "" : "notified " + reached;
        if (!missed.empty()) {
            result.message +=
                (reached.empty() ? "" : "; ") + std::string("not notified: ") + missed;
        }
        if (result.message.empty()) {
            result.outcome = StepOutcome::already_done;
            result.message = "the inventory has nobody to notify";
        }
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_notify() {
    return std::make_unique<Notify>();
}

}  // namespace lockstep
