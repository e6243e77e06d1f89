// Shuffles, votes and reductions of a warp: the lanes of the mask meet in warp.cpp.
#pragma once

namespace emu {
enum class Pick { Index, Xor, Up, Down };
// The bits that the picked lane brought; all ones where that lane does not take part.
uint64_t shuffle(unsigned mask, uint64_t bits, Pick pick, unsigned argument, unsigned width);
unsigned ballot(unsigned mask, bool predicate);
unsigned match_any(unsigned mask, uint64_t bits);
enum class Fold { Add, Min, Max, And, Or, Xor, SignedMin, SignedMax };
unsigned fold(unsigned mask, unsigned value, Fold how);
void sync_warp(unsigned mask);

template <class T> inline T shuffle_as(unsigned mask, T v, Pick pick, unsigned argument, int width) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles have 32 or 64 bits");
    if constexpr (sizeof(T) == 4)
        return __builtin_bit_cast(T, (uint32_t)shuffle(mask, __builtin_bit_cast(uint32_t, v), pick, argument, (unsigned)width));
    else
        return __builtin_bit_cast(T, shuffle(mask, __builtin_bit_cast(uint64_t, v), pick, argument, (unsigned)width));
}
} // namespace emu

template <class T> T __shfl_sync(unsigned mask, T v, int lane, int width = 32) { return emu::shuffle_as(mask, v, emu::Pick::Index, (unsigned)lane, width); }
template <class T> T __shfl_xor_sync(unsigned mask, T v, int bits, int width = 32) { return emu::shuffle_as(mask, v, emu::Pick::Xor, (unsigned)bits, width); }
template <class T> T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32) { return emu::shuffle_as(mask, v, emu::Pick::Up, by, width); }
template <class T> T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32) { return emu::shuffle_as(mask, v, emu::Pick::Down, by, width); }

inline unsigned __ballot_sync(unsigned mask, int p) { return emu::ballot(mask, p != 0); }
inline int __any_sync(unsigned mask, int p) { return emu::ballot(mask, p != 0) != 0; }
inline int __all_sync(unsigned mask, int p) { return emu::ballot(mask, p == 0) == 0; }
template <class T> unsigned __match_any_sync(unsigned mask, T v) {
    if constexpr (sizeof(T) == 4) return emu::match_any(mask, __builtin_bit_cast(uint32_t, v));
    else return emu::match_any(mask, __builtin_bit_cast(uint64_t, v));
}
inline void __syncwarp(unsigned mask = 0xffffffffu) { emu::sync_warp(mask); }
inline unsigned __activemask() { emu::trap("__activemask() depends on the compiler: pass the mask that is meant"); }

inline unsigned __reduce_add_sync(unsigned mask, unsigned v) { return emu::fold(mask, v, emu::Fold::Add); }
inline int __reduce_add_sync(unsigned mask, int v) { return (int)emu::fold(mask, (unsigned)v, emu::Fold::Add); }
inline unsigned __reduce_min_sync(unsigned mask, unsigned v) { return emu::fold(mask, v, emu::Fold::Min); }
inline int __reduce_min_sync(unsigned mask, int v) { return (int)emu::fold(mask, (unsigned)v, emu::Fold::SignedMin); }
inline unsigned __reduce_max_sync(unsigned mask, unsigned v) { return emu::fold(mask, v, emu::Fold::Max); }
inline int __reduce_max_sync(unsigned mask, int v) { return (int)emu::fold(mask, (unsigned)v, emu::Fold::SignedMax); }
inline unsigned __reduce_and_sync(unsigned mask, unsigned v) { return emu::fold(mask, v, emu::Fold::And); }
inline unsigned __reduce_or_sync(unsigned mask, unsigned v) { return emu::fold(mask, v, emu::Fold::Or); }
inline unsigned __reduce_xor_sync(unsigned mask, unsigned v) { return emu::fold(mask, v, emu::Fold::Xor); }
