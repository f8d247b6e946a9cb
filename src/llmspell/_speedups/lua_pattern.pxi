# A pattern, read into a row of items: each when a match gets to it, and no more than once a call.
#
# What a pattern means is written down in §6.4.1 of the Lua manual. What the manual leaves open was found by trying
# Lua's own functions, and tests/conformance/test_patterns.py holds both against each other: what `-` and `%` mean in a
# set (`[a-%z]` is `a` to `%`, and `z`), what counts as deep, and that what is wrong with a pattern is an error only
# when a match gets that far.

cdef enum:
    MOST_CAPTURES = 32
    MOST_OF_RUN = 1 << 30

cdef enum:                 # kinds of items
    ITEM_UNREAD            # the next item belongs here
    ITEM_END               # the pattern ends: a match
    ITEM_RUN               # bytes that stand for themselves
    ITEM_ONE               # a byte of a set, once
    ITEM_LAST              # `$` at the pattern's end
    ITEM_AGAIN             # %1
    ITEM_BALANCE           # %bxy
    ITEM_FRONTIER          # %f[set]
    ITEM_NEVER             # %1 of a position: matches nothing
    ITEM_WRONG             # the pattern cannot be read from here on
    ITEM_OPEN              # ( ) and (): up to here, an item matches in one way or not at all
    ITEM_CLOSE
    ITEM_PLACE
    ITEM_MAYBE             # a byte with ? * + - after it
    ITEM_ANY
    ITEM_SOME
    ITEM_FEW

cdef enum:                 # what a single byte may be
    OF_ALL
    OF_BYTE
    OF_SET

cdef struct PatternItem:
    Byte kind
    Byte of                # of one byte: OF_...
    Byte byte              # OF_BYTE; x of %bxy; the number of a capture
    Byte other             # y of %bxy; the byte that must follow what repeats, if `length`
    int length             # of a run; the number that a message tells
    const void* at         # a ByteSet, a run's bytes, a message

cdef struct Pattern:
    PatternItem* items
    PatternItem* next      # the place of the one that is to be read, and where in the pattern
    const Byte* unread
    const Byte* end
    ByteSet* sets          # behind the room for items, and grow towards them
    PatternItem* repeats   # the last item, if it repeats and what must follow it is not read
    int captures
    unsigned int open      # those that no `)` has ended, and those of a position: a bit each
    unsigned int places
    bint anchored
    int first              # what a match must begin with: OF_...
    Byte first_byte
    const ByteSet* first_set


cdef inline size_t pattern_room(size_t length) noexcept nogil:
    """Items that hold any pattern of a length: a byte takes one at most, and so does a third of a set (its `[x]`)."""
    return length + 2

cdef inline PatternItem* add_item(Pattern* r, Byte kind) noexcept nogil:
    cdef PatternItem* item = r.next
    item.kind = kind
    r.next += 1
    r.next.kind = ITEM_UNREAD
    return item

cdef const Byte* add_wrong(Pattern* r, const char* message, int number) noexcept nogil:
    """An error, for a match that gets this far: there is nothing behind it."""
    cdef PatternItem* item = add_item(r, ITEM_WRONG)
    item.at = message
    item.length = number
    return r.end

cdef inline Byte repetition(Pattern* r, const Byte* p) noexcept nogil:
    """The kind of an item of one byte with what is at p after it."""
    cdef Byte mark
    if p == r.end:
        return ITEM_ONE
    mark = p[0]
    if mark == c'*':
        return ITEM_ANY
    elif mark == c'+':
        return ITEM_SOME
    elif mark == c'-':
        return ITEM_FEW
    elif mark == c'?':
        return ITEM_MAYBE
    return ITEM_ONE

cdef inline const Byte* add_bytes_of(Work* w, Pattern* r, const Byte* p) noexcept nogil:
    """The byte at p, which stands for itself; if it does not repeat, with those like it that follow."""
    cdef Byte kind = repetition(r, p + 1)
    cdef PatternItem* item
    cdef const Byte* from_ = p
    if kind != ITEM_ONE:
        item = add_item(r, kind)
        item.of = OF_BYTE
        item.byte = p[0]
        item.length = 0
        r.repeats = item
        return p + 2
    p += 1
    while p < r.end and has(&run_bytes, p[0]) and repetition(r, p + 1) == ITEM_ONE and p - from_ < MOST_OF_RUN:
        p += 1
    spend(w, (p - from_) >> 4)
    item = add_item(r, ITEM_RUN)
    item.at = from_
    item.length = <int> (p - from_)
    if r.repeats != NULL:  # captures may be between: it need not stop where this does not come next
        r.repeats.length = 1
        r.repeats.other = from_[0]
        r.repeats = NULL
    return p

cdef inline const Byte* add_set(Pattern* r, const ByteSet* of, const Byte* p) noexcept nogil:
    """A byte of a set, with the mark at p that makes it repeat."""
    cdef PatternItem* item = add_item(r, repetition(r, p))
    item.of = OF_ALL if of == &all_bytes else OF_SET
    item.at = of
    item.length = 0
    if item.kind == ITEM_ONE:
        r.repeats = NULL
        return p
    r.repeats = item
    return p + 1

cdef const Byte* read_brackets(Work* w, Pattern* r, const Byte* p, bint frontier) noexcept nogil:
    """A set whose `[` is before p: after %f, or of one byte."""
    cdef const Byte* close = end_of_set(w, p, r.end)
    if close == NULL:
        return add_wrong(r, b"malformed pattern (missing ']')", 0)
    read_set(w, r.sets - 1, p, close)  # may not return: nothing is added yet
    r.sets -= 1
    if not frontier:
        return add_set(r, r.sets, close + 1)
    add_item(r, ITEM_FRONTIER).at = r.sets
    r.repeats = NULL
    return close + 1

cdef const Byte* open_capture(Pattern* r, const Byte* p) noexcept nogil:
    """After its `(`. A `)` at once is a capture of the position."""
    cdef int i = r.captures
    if i == MOST_CAPTURES:
        return add_wrong(r, b"too many captures", 0)
    r.captures += 1
    if p < r.end and p[0] == c')':
        r.places |= 1U << i
        add_item(r, ITEM_PLACE).byte = <Byte> i
        return p + 1
    r.open |= 1U << i
    add_item(r, ITEM_OPEN).byte = <Byte> i
    return p

cdef const Byte* close_capture(Pattern* r, const Byte* p) noexcept nogil:
    """After a `)`, which closes the innermost that is open."""
    cdef int i = r.captures - 1
    while i >= 0 and not r.open >> i & 1:
        i -= 1
    if i < 0:
        return add_wrong(r, b"invalid pattern capture", 0)
    r.open &= ~(1U << i)
    add_item(r, ITEM_CLOSE).byte = <Byte> i
    return p

cdef const Byte* add_again(Pattern* r, int number, const Byte* p) noexcept nogil:
    """What a capture has caught, once more."""
    r.repeats = NULL
    if number == 0 or number > r.captures or r.open >> (number - 1) & 1:
        return add_wrong(r, b"invalid capture index %%%d", number)
    if r.places >> (number - 1) & 1:
        add_item(r, ITEM_NEVER)
    else:
        add_item(r, ITEM_AGAIN).byte = <Byte> (number - 1)
    return p

cdef const Byte* read_escape(Work* w, Pattern* r, const Byte* p) noexcept nogil:
    """After a `%`: its letter is at p."""
    cdef PatternItem* item
    if p == r.end:
        return add_wrong(r, b"malformed pattern (ends with '%%')", 0)
    if class_of[p[0]] != NULL:
        return add_set(r, class_of[p[0]], p + 1)
    if c'0' <= p[0] <= c'9':
        return add_again(r, p[0] - c'0', p + 1)
    if p[0] == c'f':
        if p + 1 == r.end or p[1] != c'[':
            return add_wrong(r, b"missing '[' after '%%f' in pattern", 0)
        return read_brackets(w, r, p + 2, True)
    if p[0] != c'b':
        return add_bytes_of(w, r, p)
    if r.end - p < 3:
        return add_wrong(r, b"malformed pattern (missing arguments to '%%b')", 0)
    item = add_item(r, ITEM_BALANCE)
    item.byte = p[1]
    item.other = p[2]
    r.repeats = NULL
    return p + 3

cdef const Byte* read_item(Work* w, Pattern* r, const Byte* p) noexcept nogil:
    """The item that begins at p; gives where the next one does."""
    cdef Byte mark = p[0]
    if mark == c'%':
        return read_escape(w, r, p + 1)
    elif mark == c'(':
        return open_capture(r, p + 1)
    elif mark == c')':
        return close_capture(r, p + 1)
    elif mark == c'.':
        return add_set(r, &all_bytes, p + 1)
    elif mark == c'[':
        return read_brackets(w, r, p + 1, False)
    elif mark == c'$':
        if p + 1 == r.end:
            add_item(r, ITEM_LAST)
            return p + 1
    return add_bytes_of(w, r, p)

# ------------------------------------------------------------------------------------------------ the whole

cdef void read_next(Work* w, Pattern* r) noexcept nogil:
    """A match has come to the item that is unread."""
    if r.unread == r.end:
        r.next.kind = ITEM_END
    else:
        r.unread = read_item(w, r, r.unread)

cdef void find_first(Work* w, Pattern* pattern) noexcept nogil:
    """What the first byte of a match is, if that is known: the search goes from one such byte to the next."""
    cdef const PatternItem* item = pattern.items
    while item.kind == ITEM_OPEN or item.kind == ITEM_CLOSE or item.kind == ITEM_PLACE or item.kind == ITEM_UNREAD:
        if item.kind == ITEM_UNREAD:
            read_next(w, pattern)
        else:
            item += 1
    if item.kind == ITEM_RUN:
        pattern.first = OF_BYTE
        pattern.first_byte = (<const Byte*> item.at)[0]
    elif item.kind == ITEM_BALANCE:
        pattern.first = OF_BYTE
        pattern.first_byte = item.byte
    elif item.kind == ITEM_ONE or item.kind == ITEM_SOME:
        pattern.first = item.of
        pattern.first_byte = item.byte
        pattern.first_set = <const ByteSet*> item.at

cdef void begin_pattern(Work* w, Pattern* pattern, PatternItem* room, const Byte* p, size_t length,
                        bint anchors) noexcept nogil:
    """room: for pattern_room(length) items. anchors: a `^` in front is one (in gmatch it is not)."""
    pattern.items = pattern.next = room
    room.kind = ITEM_UNREAD
    pattern.end = p + length
    pattern.sets = <ByteSet*> (room + pattern_room(length))
    pattern.repeats = NULL
    pattern.captures = 0
    pattern.open = pattern.places = 0
    pattern.anchored = anchors and length > 0 and p[0] == c'^'
    pattern.unread = p + 1 if pattern.anchored else p
    pattern.first = OF_ALL
    if not pattern.anchored:
        find_first(w, pattern)
