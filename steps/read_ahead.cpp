#include "steps/read_ahead.hpp"

#include <algorithm>

namespace lockstep {

namespace {

bool is_same(const StepCall& left, const StepCall& right) {
    return left.uses == right.uses && Value(left.with) == Value(right.with) &&
           left.timeout == right.timeout && !left.attach_only;
}

}  // namespace

std::shared_ptr<ReadAheadBatch> ReadAhead::open(const StepTask& task) {
    if (task.call.read_ahead.empty()) {
        return nullptr;
    }
    auto batch = std::make_shared<ReadAheadBatch>();
    batch->own = task.index;
    batch->calls.push_back(std::make_shared<const StepCall>(task.call));
    batch->calls.insert(
        batch->calls.end(), task.call.read_ahead.begin(), task.call.read_ahead.end());
    batch->deadline = Deadline::after(length_(task.call));
    for (std::size_t number = 1; number < batch->calls.size(); ++number) {
        const StepCall& call = *batch->calls[number];
        entries_.insert_or_assign(Name(call.id, call.member), Entry{batch, number});
    }
    running_.push_back(batch);
    return batch;
}

std::optional<StepTask> ReadAhead::take(StepTask task, std::optional<StepEvent>& event) {
    const auto found = entries_.find(Name(task.call.id, task.call.member));
    if (found == entries_.end()) {
        return task;
    }
    const auto [batch, number] = found->second;
    entries_.erase(found);
    if (!is_same(*batch->calls[number], task.call)) {
        batch->stop.request_stop();  // what it does is not what is wanted
        return task;
    }
    if (auto result = batch->results.extract(number); !result.empty()) {
        event = StepEvent{task.index, nullptr, std::move(result.mapped())};
        return std::nullopt;
    }
    if (std::ranges::find(running_, batch) == running_.end() || batch->wanted) {
        return task;
    }
    batch->wanted.emplace(number, std::move(task));
    return std::nullopt;
}

std::optional<StepEvent> ReadAhead::early(ReadAheadBatch& batch,
                                          std::size_t number,
                                          StepResult result) {
    batch.current = number + 1;
    if (batch.current < batch.calls.size()) {
        batch.deadline = Deadline::after(length_(*batch.calls[batch.current]));
    }
    if (number == 0) {
        return StepEvent{batch.own, nullptr, std::move(result)};
    }
    if (batch.wanted && batch.wanted->first == number) {
        const std::size_t index = batch.wanted->second.index;
        batch.wanted.reset();
        return StepEvent{index, nullptr, std::move(result)};
    }
    batch.results.emplace(number, std::move(result));
    return std::nullopt;
}

std::optional<StepTask> ReadAhead::close(const std::shared_ptr<ReadAheadBatch>& batch) {
    std::erase(running_, batch);
    std::erase_if(entries_, [&](const auto& entry) {
        return entry.second.batch == batch && !batch->results.contains(entry.second.number);
    });
    if (!batch->wanted) {
        return std::nullopt;
    }
    StepTask task = std::move(batch->wanted->second);
    batch->wanted.reset();
    return task;
}

void ReadAhead::stop_late_ones() {
    for (const auto& batch : running_) {
        if (batch->deadline.expired() && batch->current < batch->calls.size()) {
            batch->out_of_time = true;
            batch->stop.request_stop();
        }
    }
}

void ReadAhead::drop() {
    entries_.clear();
    for (const auto& batch : running_) {
        if (batch->own_is_over() && !batch->wanted) {
            batch->stop.request_stop();
        }
    }
}

}  // namespace lockstep
