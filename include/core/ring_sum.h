/* ring_sum.h - the windowed count: the sum over a window's buckets that carry their tag. Free of
 * libc. Apart from ring.h, since compiling <immintrin.h> takes longer than most files that need a
 * ring. */
#ifndef PRESENCE_RING_SUM_H
#define PRESENCE_RING_SUM_H

#include "core/ring.h"

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#define RING_VECTOR_SUM 1
#include <immintrin.h>
#else
#define RING_VECTOR_SUM 0
#endif

#if RING_VECTOR_SUM
/* Sum many buckets at a time. The first one is aligned to 16 bytes and should carry `tag`.
 *
 * Eight-byte lanes of an aligned load are never torn on x86, and its loads happen in program order
 * (Intel SDM 3A 9.1.1 and 9.2.2, AMD64 APM 2 7.3.2 and 7.1.1); the volatile loads, of 16 bytes
 * each, keep the compiler to that order. With AVX, both words of one load are from one instant (the
 * same sections); without it, a visitor who moves from the first to the second during the load may
 * be missed. Counts are added as 16-bit halves, so that no 32-bit lane overflows, nor all of them
 * together, within RING_SECONDS.
 */
static inline int32_t ring_sum_lanes(__m128i lanes)
{
    lanes = _mm_add_epi32(lanes, _mm_shuffle_epi32(lanes, _MM_SHUFFLE(1, 0, 3, 2)));
    lanes = _mm_add_epi32(lanes, _mm_shuffle_epi32(lanes, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(lanes);
}

static inline int64_t ring_sum_halves(__m128i lower, __m128i upper)
{
    return (int64_t)ring_sum_lanes(upper) * 65536 + ring_sum_lanes(lower);
}

/* Sum `blocks` times four buckets. */
static inline int64_t ring_sum_fours(const uint64_t *buckets, uint32_t blocks, uint32_t tag)
{
    const volatile __m128i *words = (const volatile __m128i *)(const volatile void *)buckets;
    const __m128i four = _mm_set1_epi32(4), half = _mm_set1_epi32(0xffff);
    __m128i tags = _mm_add_epi32(_mm_set1_epi32((int)tag), _mm_set_epi32(3, 2, 1, 0));
    __m128i lower = _mm_setzero_si128(), upper = _mm_setzero_si128();

    for (; blocks; blocks--, words += 2) {
        __m128 older = _mm_castsi128_ps(words[0]);
        __m128 newer = _mm_castsi128_ps(words[1]);
        __m128i high = _mm_castps_si128(_mm_shuffle_ps(older, newer, _MM_SHUFFLE(3, 1, 3, 1)));
        __m128i low = _mm_castps_si128(_mm_shuffle_ps(older, newer, _MM_SHUFFLE(2, 0, 2, 0)));
        __m128i counts = _mm_and_si128(low, _mm_cmpeq_epi32(high, tags));
        lower = _mm_add_epi32(lower, _mm_and_si128(counts, half));
        upper = _mm_add_epi32(upper, _mm_srai_epi32(counts, 16));
        tags = _mm_add_epi32(tags, four);
    }
    return ring_sum_halves(lower, upper);
}

/* Sum `blocks` times eight buckets, with half the instructions. */
static __attribute__((target("avx2"), unused)) int64_t
ring_sum_eights(const uint64_t *buckets, uint32_t blocks, uint32_t tag)
{
    const volatile __m128i *words = (const volatile __m128i *)(const volatile void *)buckets;
    const __m256i eight = _mm256_set1_epi32(8), half = _mm256_set1_epi32(0xffff);
    __m256i tags =
        _mm256_add_epi32(_mm256_set1_epi32((int)tag), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0));
    __m256i lower = _mm256_setzero_si256(), upper = _mm256_setzero_si256();

    for (; blocks; blocks--, words += 4) {
        __m128i first = words[0], second = words[1], third = words[2], fourth = words[3];
        __m256 odd = _mm256_castsi256_ps(_mm256_set_m128i(third, first));
        __m256 even = _mm256_castsi256_ps(_mm256_set_m128i(fourth, second));
        __m256i high = _mm256_castps_si256(_mm256_shuffle_ps(odd, even, _MM_SHUFFLE(3, 1, 3, 1)));
        __m256i low = _mm256_castps_si256(_mm256_shuffle_ps(odd, even, _MM_SHUFFLE(2, 0, 2, 0)));
        __m256i counts = _mm256_and_si256(low, _mm256_cmpeq_epi32(high, tags));
        lower = _mm256_add_epi32(lower, _mm256_and_si256(counts, half));
        upper = _mm256_add_epi32(upper, _mm256_srai_epi32(counts, 16));
        tags = _mm256_add_epi32(tags, eight);
    }
    return ring_sum_halves(
        _mm_add_epi32(_mm256_castsi256_si128(lower), _mm256_extracti128_si256(lower, 1)),
        _mm_add_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1)));
}

/* Sum `blocks` times four buckets in the fastest way. */
static inline int64_t ring_sum_blocks(const uint64_t *buckets, uint32_t blocks, uint32_t tag)
{
    int64_t sum = 0;

    if (__builtin_cpu_supports("avx2")) {
        uint32_t eights = blocks / 2;
        sum = ring_sum_eights(buckets, eights, tag);
        buckets += (size_t)eights * 8;
        tag += eights * 8;
        blocks %= 2;
    }
    sum += ring_sum_fours(buckets, blocks, tag);
    /* Acquire: pairs with ring_add_bucket. No later load moves before these. Costs nothing on
     * x86. */
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return sum;
}
#endif

/* Sum `length` neighbouring buckets, at most RING_SECONDS; the first should carry `tag`. */
static inline int64_t ring_sum_run(const uint64_t *bucket, uint32_t length, uint32_t tag)
{
    const uint64_t *end = bucket + length;
    int64_t sum = 0;

#if RING_VECTOR_SUM
    if ((uintptr_t)bucket % sizeof(__m128i) != 0 && bucket < end)
        sum += ring_bucket_count(bucket++, tag++);
    uint32_t blocks = (uint32_t)(end - bucket) / 4;
    sum += ring_sum_blocks(bucket, blocks, tag);
    bucket += blocks * 4;
    tag += blocks * 4;
#endif
    while (bucket < end)
        sum += ring_bucket_count(bucket++, tag++);
    return sum;
}

/* Sum `length` buckets, at most `size`, up to and including `last`, oldest first: a visitor who
 * moves forward meanwhile may be counted twice, but is never missed (for processors without AVX see
 * above), since the writer adds before it subtracts. What the caller loads afterwards is loaded
 * after all buckets. */
static inline int64_t ring_sum(const uint64_t *buckets, uint32_t size, uint64_t last,
                               uint32_t length)
{
    if (last + 1 < length)
        length = (uint32_t)last + 1;
    uint64_t tag = last + 1 - length;
    uint32_t first = (uint32_t)(tag % size);
    uint32_t run = length < size - first ? length : size - first; /* up to the array's end */

    int64_t sum = ring_sum_run(buckets + first, run, (uint32_t)tag);
    return sum + ring_sum_run(buckets, length - run, (uint32_t)tag + run);
}

/* Count the visitors active at tick `now` in a window of 1 s to 3600 s, not clamped at 0. */
static inline int64_t ring_count(const struct ring *ring, uint64_t now, uint32_t window_s)
{
    if (window_s <= WINDOW_FINE_MAX)
        return ring_sum(ring->seconds, RING_SECONDS, now, window_s);
    return ring_sum(ring->minutes, RING_MINUTES, now / 60, (window_s + 59) / 60);
}

#endif
