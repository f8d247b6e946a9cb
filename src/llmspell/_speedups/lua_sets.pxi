# Sets of bytes: the classes that a letter after `%` names, and what stands in brackets.

cdef extern from "<ctype.h>" nogil:
    int isalpha(int)
    int iscntrl(int)
    int isdigit(int)
    int isgraph(int)
    int islower(int)
    int ispunct(int)
    int isspace(int)
    int isupper(int)
    int isalnum(int)
    int isxdigit(int)

cdef struct ByteSet:
    unsigned long long words[4]

cdef ByteSet all_bytes, special_bytes, run_bytes
cdef ByteSet class_sets[22]
cdef const ByteSet* class_of[256]   # by letter; NULL: it stands for itself
cdef bint classes_made = False


cdef inline bint has(const ByteSet* of, Byte byte) noexcept nogil:
    return (of.words[byte >> 6] >> (byte & 63)) & 1

cdef inline void put(ByteSet* into, Byte byte) noexcept nogil:
    into.words[byte >> 6] |= 1ULL << (byte & 63)

cdef bint in_class(Byte letter, int byte) noexcept nogil:
    if letter == c'a':
        return isalpha(byte) != 0
    if letter == c'c':
        return iscntrl(byte) != 0
    if letter == c'd':
        return isdigit(byte) != 0
    if letter == c'g':
        return isgraph(byte) != 0
    if letter == c'l':
        return islower(byte) != 0
    if letter == c'p':
        return ispunct(byte) != 0
    if letter == c's':
        return isspace(byte) != 0
    if letter == c'u':
        return isupper(byte) != 0
    if letter == c'w':
        return isalnum(byte) != 0
    if letter == c'x':
        return isxdigit(byte) != 0
    return byte == 0  # z, of Lua 5.1, which 5.4 still knows

cdef void make_classes() noexcept nogil:
    """The sets of %a and its like, as the process's locale has them when the first state is made."""
    global classes_made
    cdef const char* letters = b"acdglpsuwxz"
    cdef const char* special = b"^$*+?.([%-"
    cdef int i, byte
    if classes_made:
        return
    for i in range(11):
        for byte in range(256):
            put(&class_sets[i if in_class(letters[i], byte) else 11 + i], byte)
        class_of[<int> letters[i]] = &class_sets[i]
        class_of[<int> letters[i] - 32] = &class_sets[11 + i]  # in capitals: all others
    for byte in range(256):
        put(&all_bytes, byte)
    for i in range(10):
        put(&special_bytes, special[i])
    for byte in range(256):
        if byte != c')' and not has(&special_bytes, byte):
            put(&run_bytes, byte)
    classes_made = True

# ------------------------------------------------------------------------------------------------ brackets

cdef const Byte* end_of_set(Work* w, const Byte* p, const Byte* end) noexcept nogil:
    """The `]` of the set whose `[` is before p; NULL if there is none. A `]` in the first place is one of the set."""
    if p < end and p[0] == c'^':
        p += 1
    while p < end:
        spend(w, 1)
        p += 2 if p[0] == c'%' else 1
        if p < end and p[0] == c']':
            return p
    return NULL

cdef inline unsigned long long ones_from(int bit) noexcept nogil:
    """A word whose bits from one on are set; *bit* may be out of the word on either side."""
    return ~0ULL if bit <= 0 else 0 if bit >= 64 else ~0ULL << bit

cdef void put_range(ByteSet* into, Byte low, Byte high) noexcept nogil:
    """From low to high; nothing if high is below."""
    cdef int i
    for i in range(4):
        into.words[i] |= ones_from(low - 64 * i) & ~ones_from(high + 1 - 64 * i)

cdef void read_set(Work* w, ByteSet* into, const Byte* p, const Byte* close) noexcept nogil:
    """What is between `[` and the `]` at close. (A `%` that ends a range may leave p on it, or beyond.)"""
    cdef bint others = p[0] == c'^'
    cdef const ByteSet* known
    cdef int i
    memset(into, 0, sizeof(ByteSet))
    if others:
        p += 1
    while p < close:
        spend(w, 1)
        if p[0] == c'%':
            known = class_of[p[1]]
            if known == NULL:
                put(into, p[1])
            else:
                for i in range(4):
                    into.words[i] |= known.words[i]
            p += 2
        elif p[1] == c'-' and p + 2 < close:
            put_range(into, p[0], p[2])
            p += 3
        else:
            put(into, p[0])
            p += 1
    if others:
        for i in range(4):
            into.words[i] = ~into.words[i]
