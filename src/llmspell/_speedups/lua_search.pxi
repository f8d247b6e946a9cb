# Trying a pattern: at one place, and at every place of a subject. Nothing here calls itself: what may have to be taken
# back is a Choice, in a row of them. What may work long spends its Work.

cdef enum:
    DEEPEST = 200          # Lua's own bound: captures, and what repeats or is left out, on the way through a pattern
    PIECE = 65536          # bytes that are gone through between two looks at the Work

cdef struct Span:
    const Byte* start
    size_t length

cdef struct Match:
    Work work
    Pattern* pattern
    const Byte* begin      # of the subject
    const Byte* end
    const Byte* last       # where the match before ended: no other ends there too; or NULL
    const Byte* start      # the match
    const Byte* stop
    Span captures[MOST_CAPTURES]

cdef struct Choice:        # how else an item that repeats could go on
    const PatternItem* item
    const Byte* at         # the place after it that is next to be tried; NULL: no other
    const Byte* least      # the last one to be tried, where they go backwards
    int depth              # there


cdef inline const Byte* piece_end(const Byte* s, const Byte* end) noexcept nogil:
    return s + PIECE if end - s > PIECE else end

cdef bint same_many(Work* w, const Byte* a, const Byte* b, size_t n) noexcept nogil:
    while n > PIECE:
        spend(w, PIECE >> 6)
        if memcmp(a, b, PIECE) != 0:
            return False
        a += PIECE
        b += PIECE
        n -= PIECE
    spend(w, n >> 6)
    return memcmp(a, b, n) == 0

cdef void copy_many(Work* w, Byte* to, const Byte* s, size_t n) noexcept nogil:
    while n > PIECE:
        spend(w, PIECE >> 6)
        memcpy(to, s, PIECE)
        to += PIECE
        s += PIECE
        n -= PIECE
    spend(w, n >> 6)
    memcpy(to, s, n)

cdef inline bint same_bytes(Work* w, const Byte* a, const Byte* b, size_t n) noexcept nogil:
    if n > 16:
        return same_many(w, a, b, n)
    while n:  # a call takes longer
        if a[0] != b[0]:
            return False
        a += 1
        b += 1
        n -= 1
    return True

cdef const Byte* find_byte(Work* w, const Byte* s, const Byte* end, Byte byte) noexcept nogil:
    """The next one in [s, end), else NULL."""
    cdef const Byte* stop
    cdef const Byte* hit
    while s < end:
        stop = piece_end(s, end)
        hit = <const Byte*> memchr(s, byte, stop - s)
        spend(w, ((stop if hit == NULL else hit) - s) >> 6)
        if hit != NULL:
            return hit
        s = stop
    return NULL

cdef const Byte* find_of_set(Work* w, const Byte* s, const Byte* end, const ByteSet* of) noexcept nogil:
    """The next byte of a set in [s, end), else NULL."""
    cdef const Byte* from_
    cdef const Byte* stop
    while s < end:
        from_ = s
        stop = piece_end(s, end)
        while s < stop and not has(of, s[0]):
            s += 1
        spend(w, (s - from_) >> 4)
        if s < stop:
            return s
    return NULL

# ------------------------------------------------------------------------------------------------ items

cdef inline bint starts_run(Match* m, const PatternItem* run, const Byte* s) noexcept nogil:
    cdef const Byte* text = <const Byte*> run.at
    if m.end - s < run.length or s[0] != text[0]:
        return False
    return same_bytes(&m.work, s + 1, text + 1, run.length - 1)

cdef inline bint at_frontier(Match* m, const ByteSet* of, const Byte* s) noexcept nogil:
    if has(of, 0 if s == m.begin else (s - 1)[0]):
        return False
    return has(of, 0 if s == m.end else s[0])

cdef const Byte* end_of_balance(Match* m, const PatternItem* item, const Byte* s) noexcept nogil:
    """After the `y` that ends what the `x` at s began; NULL."""
    cdef const Byte* from_
    cdef const Byte* stop
    cdef size_t open = 1
    if s == m.end or s[0] != item.byte:
        return NULL
    s += 1
    while s < m.end and open:
        from_ = s
        stop = piece_end(s, m.end)
        while s < stop and open:
            if s[0] == item.other:
                open -= 1
            elif s[0] == item.byte:
                open += 1
            s += 1
        spend(&m.work, (s - from_) >> 4)
    if open:
        return NULL
    return s

cdef inline const Byte* after_item(Match* m, const PatternItem* item, const Byte* s) noexcept nogil:
    """Where an item that matches in one way ends; NULL if it does not match."""
    cdef const Span* span
    cdef int kind = item.kind
    if kind == ITEM_RUN:
        return s + item.length if starts_run(m, item, s) else NULL
    elif kind == ITEM_ONE:
        return s + 1 if s < m.end and has(<const ByteSet*> item.at, s[0]) else NULL
    elif kind == ITEM_LAST:
        return s if s == m.end else NULL
    elif kind == ITEM_AGAIN:
        span = &m.captures[item.byte]
        if span.length > <size_t> (m.end - s) or not same_bytes(&m.work, span.start, s, span.length):
            return NULL
        return s + span.length
    elif kind == ITEM_BALANCE:
        return end_of_balance(m, item, s)
    elif kind == ITEM_FRONTIER:
        return s if at_frontier(m, <const ByteSet*> item.at, s) else NULL
    elif kind == ITEM_WRONG:
        lua.L_error(m.work.L, <const char*> item.at, item.length)
    return NULL

cdef inline bint takes(const PatternItem* item, Byte byte) noexcept nogil:
    return byte == item.byte if item.of == OF_BYTE else has(<const ByteSet*> item.at, byte)

cdef const Byte* after_all(Match* m, const PatternItem* item, const Byte* s) noexcept nogil:
    """Behind all bytes from s on that an item takes."""
    cdef const ByteSet* of = <const ByteSet*> item.at
    cdef Byte byte = item.byte
    cdef const Byte* from_
    cdef const Byte* stop
    if item.of == OF_ALL:
        return m.end
    while s < m.end:
        from_ = s
        stop = piece_end(s, m.end)
        if item.of == OF_BYTE:
            while s < stop and s[0] == byte:
                s += 1
        else:
            while s < stop and has(of, s[0]):
                s += 1
        spend(&m.work, (s - from_) >> 4)
        if s < stop:
            break
    return s

# ------------------------------------------------------------------------------------------------ choices

cdef const Byte* back_to(Match* m, const Byte* s, const Byte* least, Byte byte) noexcept nogil:
    """The last place in [least, s] where a byte comes next; NULL."""
    cdef const Byte* from_
    cdef const Byte* stop
    if s == m.end:
        if s == least:
            return NULL
        s -= 1
    while True:
        from_ = s
        stop = s - PIECE if s - least > PIECE else least
        while s > stop and s[0] != byte:
            s -= 1
        spend(&m.work, (from_ - s) >> 4)
        if s[0] == byte:
            return s
        if s == least:
            return NULL

cdef const Byte* forward_to(Match* m, const PatternItem* item, const Byte* s) noexcept nogil:
    """The first place from s on where what must follow comes next, the item taking all before it; NULL."""
    cdef const Byte* from_
    cdef const Byte* stop
    if item.of == OF_ALL:
        return find_byte(&m.work, s, m.end, item.other)
    while s < m.end:
        from_ = s
        stop = piece_end(s, m.end)
        while s < stop and s[0] != item.other and takes(item, s[0]):
            s += 1
        spend(&m.work, (s - from_) >> 4)
        if s < stop:
            return s if s[0] == item.other else NULL
    return NULL

cdef const Byte* next_way(Match* m, Choice* choice) noexcept nogil:
    """The place where a choice goes on, and what is left of it; NULL: nowhere."""
    cdef const PatternItem* item = choice.item
    cdef const Byte* at = choice.at
    # Captures between the item and what must follow may be too deep, which is to be told.
    cdef bint look_ahead = item.length and choice.depth < DEEPEST - 2 * MOST_CAPTURES
    choice.at = NULL
    if item.kind == ITEM_FEW:
        if look_ahead:
            at = forward_to(m, item, at)
        if at != NULL and at < m.end and takes(item, at[0]):
            choice.at = at + 1
    elif item.kind != ITEM_MAYBE:
        if look_ahead:
            at = back_to(m, at, choice.least, item.other)
        if at != NULL and at > choice.least:
            choice.at = at - 1
    return at

# ------------------------------------------------------------------------------------------------ places

cdef inline void capture(Match* m, const PatternItem* item, const Byte* s) noexcept nogil:
    if item.kind == ITEM_CLOSE:
        m.captures[item.byte].length = s - m.captures[item.byte].start
    else:
        m.captures[item.byte].start = s

cdef const Byte* match_at(Match* m, const Byte* s) noexcept nogil:
    """Where a match that begins at s ends; NULL if there is none. Captures hold what was passed last."""
    cdef Choice choices[DEEPEST]
    cdef Choice* choice
    cdef const PatternItem* item = m.pattern.items
    cdef const Byte* at
    cdef int left = 0, depth = 1
    while True:
        spend(&m.work, 1)
        if item.kind == ITEM_UNREAD:
            read_next(&m.work, m.pattern)
        if item.kind == ITEM_END:
            return s
        if item.kind < ITEM_OPEN:
            at = after_item(m, item, s)
            if at != NULL:
                s = at
                item += 1
                continue
        elif item.kind < ITEM_MAYBE:
            if depth == DEEPEST:
                lua.L_error(m.work.L, b"pattern too complex")
            depth += 1
            capture(m, item, s)
            item += 1
            continue
        elif s == m.end or not takes(item, s[0]):
            if item.kind != ITEM_SOME:
                item += 1
                continue
        else:
            if depth == DEEPEST:
                lua.L_error(m.work.L, b"pattern too complex")
            choice = &choices[left]
            left += 1
            choice.item = item
            choice.at = s
            choice.depth = depth
            depth += 1
            if item.kind == ITEM_MAYBE:
                s += 1
                item += 1
                continue
            choice.depth = depth
            if item.kind != ITEM_FEW:
                choice.least = s if item.kind == ITEM_ANY else s + 1
                choice.at = after_all(m, item, s)
        # What was chosen last goes another way; a new choice its first.
        at = NULL
        while at == NULL:
            if left == 0:
                return NULL
            choice = &choices[left - 1]
            at = next_way(m, choice)
            if choice.at == NULL:
                left -= 1
        s = at
        depth = choice.depth
        item = choice.item + 1

cdef bint search(Match* m, const Byte* s) noexcept nogil:
    """The first match from s on: start and stop. False: none."""
    cdef Pattern* pattern = m.pattern
    while True:
        if pattern.first == OF_BYTE:
            s = find_byte(&m.work, s, m.end, pattern.first_byte)
        elif pattern.first == OF_SET:
            s = find_of_set(&m.work, s, m.end, pattern.first_set)
        if s == NULL:
            return False
        m.stop = match_at(m, s)
        if m.stop != NULL and m.stop != m.last:
            m.start = s
            return True
        if s == m.end or pattern.anchored:
            return False
        s += 1

# ------------------------------------------------------------------------------------------------ plain texts

cdef const Byte* find_by_sum(Work* w, const Byte* s, const Byte* end, const Byte* text, size_t n) noexcept nogil:
    """As find_text, by a sum over n bytes that rolls on: a fixed time a byte, whatever repeats."""
    cdef unsigned long long factor = 0x9E3779B97F4A7C15, top = 1, wanted = 0, sum = 0
    cdef size_t i
    for i in range(n):
        spend(w, 1)
        wanted = wanted * factor + text[i]
        sum = sum * factor + s[i]
        top *= factor
    while True:
        spend(w, 1)
        if sum == wanted and same_bytes(w, s, text, n):
            return s
        if <size_t> (end - s) == n:
            return NULL
        sum = sum * factor + s[n] - top * s[0]
        s += 1

cdef const Byte* find_text(Work* w, const Byte* s, const Byte* end, const Byte* text, size_t n) noexcept nogil:
    """Where n bytes are found first in [s, end), else NULL. Linear in both: what repeats too often is left to a sum."""
    cdef const Byte* from_ = s
    cdef const Byte* stop
    cdef size_t few = n if n < 32 else 32, lost = 0   # bytes compared in vain
    if n == 0 or n > <size_t> (end - s):
        return s if n == 0 else NULL
    end -= n - 1
    while s < end:
        stop = piece_end(s, end)
        spend(w, (stop - s) >> 6)
        while s < stop:
            s = <const Byte*> memchr(s, text[0], stop - s)
            if s == NULL:
                break
            if s[n - 1] == text[n - 1]:
                if memcmp(s, text, few) != 0:
                    lost += few
                elif few == n or same_bytes(w, s + few, text + few, n - few):
                    return s
                else:
                    lost += n
                if lost > 4096 and lost // 8 > <size_t> (s - from_):
                    return find_by_sum(w, s, end + (n - 1), text, n)
            s += 1
        s = stop
    return NULL
