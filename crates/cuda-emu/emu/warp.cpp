// Where the lanes of a warp meet: shuffles, votes and everything else that takes the whole mask.
#include "emu/runtime.h"

namespace emu {
static void finish(Warp& warp, Group& group) {
    group.live[group.generation & 1] = group.arrived;
    group.unread = (unsigned)__builtin_popcount(group.arrived);
    group.arrived = 0;
    ++group.generation;
    ++warp.operations;
}
static bool complete(const Warp& warp, const Group& group) { return (group.mask & warp.exists & ~warp.exited & ~group.arrived) == 0; }

void finish_groups_of(Warp& warp) {
    for (unsigned i = 0; i < warp.groups; ++i)
        if (warp.group[i].arrived && complete(warp, warp.group[i])) finish(warp, warp.group[i]);
}

static Group& open(Group& group, unsigned mask) {
    group.mask = mask;
    group.arrived = group.generation = group.unread = 0;
    return group;
}
static Group& group_of(Warp& warp, unsigned mask) {
    Group* idle = nullptr;
    for (unsigned i = 0; i < warp.groups; ++i) {
        Group& group = warp.group[i];
        if (group.mask == mask) return group;
        if (group.arrived && group.mask & mask)
            fault(FaultKind::Divergence, nullptr, "warp operations with the overlapping masks %08x and %08x at once", group.mask, mask);
        if (!group.arrived && !group.unread) idle = &group;
    }
    if (warp.groups < Warp::MASKS) return open(warp.group[warp.groups++], mask);
    if (!idle) fault(FaultKind::Divergence, nullptr, "more than %u masks of one warp at once", Warp::MASKS);
    return open(*idle, mask);
}

static const char* name_of(Meeting m) {
    static const char* names[] = {"__syncwarp", "a shuffle", "a vote", "__match_any_sync", "__reduce_sync", "ldmatrix", "mma.sync"};
    return names[(int)m];
}
unsigned char* meet(unsigned mask, Meeting meeting, const void* bring, unsigned size, unsigned* live, void (*compute)(unsigned char*)) {
    Fiber& me = *running;
    Warp& warp = warps[me.linear / 32];
    const unsigned bit = 1u << me.lane();
    if (!(mask & bit)) fault(FaultKind::Divergence, nullptr, "lane %u takes part in a warp operation whose mask %08x leaves it out", me.lane(), mask);
    Group& group = warp.groups == 1 && warp.group[0].mask == mask ? warp.group[0] : group_of(warp, mask);
    if (group.arrived == 0) group.meeting = meeting;
    else if (group.meeting != meeting)
        fault(FaultKind::Divergence, nullptr, "lanes of mask %08x are at %s and at %s", mask, name_of(group.meeting), name_of(meeting));
    const unsigned parity = group.generation & 1;
    memcpy(group.deposits[parity] + me.lane() * size, bring, size);
    group.arrived |= bit;
    me.wanted = group.generation + 1;
    if (complete(warp, group)) {
        if (compute && group.arrived == ~0u) compute(group.deposits[parity]);
        finish(warp, group);
    } else {
        me.group = &group;
        wait_as(State::AtWarp);
    }
    --group.unread;
    *live = group.live[parity];
    return group.deposits[parity];
}

void sync_warp(unsigned mask) {
    unsigned live;
    meet(mask, Meeting::Sync, nullptr, 0, &live);
}
static unsigned source_lane(unsigned lane, Pick pick, unsigned argument, unsigned width) {
    const unsigned first = lane & ~(width - 1), within = lane & (width - 1);
    switch (pick) {
    case Pick::Index: return first | (argument & (width - 1));
    case Pick::Xor: return (lane ^ argument) < first + width ? lane ^ argument : lane;
    case Pick::Up: return within >= argument ? lane - argument : lane;
    case Pick::Down: return within + argument < width ? lane + argument : lane;
    }
    return lane;
}
uint64_t shuffle(unsigned mask, uint64_t bits, Pick pick, unsigned argument, unsigned width) {
    unsigned live;
    const unsigned char* all = meet(mask, Meeting::Shuffle, &bits, 8, &live);
    const unsigned source = source_lane(running->lane(), pick, argument, width) & 31;
    uint64_t got = ~0ull;
    if (live >> source & 1) memcpy(&got, all + 8 * source, 8);
    return got;
}
unsigned ballot(unsigned mask, bool predicate) {
    const uint64_t bits = predicate;
    unsigned live, votes = 0;
    const unsigned char* all = meet(mask, Meeting::Ballot, &bits, 8, &live);
    for (unsigned l = 0; l < 32; ++l) votes |= (unsigned)(live >> l & all[8 * l] & 1) << l;
    return votes;
}
unsigned match_any(unsigned mask, uint64_t bits) {
    unsigned live, same = 0;
    const unsigned char* all = meet(mask, Meeting::Match, &bits, 8, &live);
    for (unsigned l = 0; l < 32; ++l) same |= (unsigned)(live >> l & 1 && memcmp(all + 8 * l, &bits, 8) == 0) << l;
    return same;
}
static unsigned folded(unsigned a, unsigned b, Fold how) {
    switch (how) {
    case Fold::Add: return a + b;
    case Fold::Min: return a < b ? a : b;
    case Fold::Max: return a > b ? a : b;
    case Fold::And: return a & b;
    case Fold::Or: return a | b;
    case Fold::Xor: return a ^ b;
    case Fold::SignedMin: return (int)a < (int)b ? a : b;
    case Fold::SignedMax: return (int)a > (int)b ? a : b;
    }
    return a;
}
unsigned fold(unsigned mask, unsigned value, Fold how) {
    unsigned live, result = value;
    const unsigned char* all = meet(mask, Meeting::Fold, &value, 4, &live);
    bool first = true;
    for (unsigned l = 0; l < 32; ++l) {
        if (!(live >> l & 1)) continue;
        unsigned v;
        memcpy(&v, all + 4 * l, 4);
        result = first ? v : folded(result, v, how);
        first = false;
    }
    return result;
}
} // namespace emu
