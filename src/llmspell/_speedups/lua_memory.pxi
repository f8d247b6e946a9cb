# The memory of a Lua state: small blocks from a region of its own, which a warm process uses again, the rest from malloc.
# A state is made of two thousand small blocks, and a chunk of a stream of ten; malloc was 40 % of both.
#
# The limit counts what Lua asks for, and holds while the script runs; what the host hands over may go beyond it, so
# that handing over cannot fail. A region is all that a state may keep of what it has freed.

cdef enum:
    REGION = 262144          # bytes; pages that nothing touches cost nothing
    LARGEST_SMALL = 256      # bytes of a block out of a region
    CLASSES = 17             # of 16 bytes each; 0 is unused
    KEPT_REGIONS = 16        # of a process
    OUTSIDE = 128            # blocks of malloc's that are known; a short script has some fifty

cdef struct Free:            # a block that is not in use
    Free* next

cdef struct Memory:
    char* region             # NULL: none was to be had
    size_t touched
    Free* free_blocks[17]
    size_t used, limit
    bint enforce
    void* outside[128]
    int n_outside            # MANY: more than are known

cdef enum:
    MANY = -1

cdef char* kept_regions[16]
cdef int n_kept_regions = 0

cdef extern from *:
    """
    #if defined(__SANITIZE_ADDRESS__) || defined(LLMSPELL_PLAIN_ALLOC)
    #define LLMSPELL_REGIONS 0   /* every block is malloc's: a checker sees each */
    #else
    #define LLMSPELL_REGIONS 1
    #endif
    """
    bint REGIONS "LLMSPELL_REGIONS"


cdef void take_region(Memory* m) noexcept nogil:
    global n_kept_regions
    if not REGIONS:
        return
    if n_kept_regions:
        n_kept_regions -= 1
        m.region = kept_regions[n_kept_regions]
    else:
        m.region = <char*> malloc(REGION)

cdef void give_region(Memory* m) noexcept nogil:
    global n_kept_regions
    if m.region == NULL:
        return
    if n_kept_regions < KEPT_REGIONS:
        kept_regions[n_kept_regions] = m.region
        n_kept_regions += 1
    else:
        free(m.region)
    m.region = NULL

cdef inline void* outside_block(Memory* m, void* p) noexcept nogil:
    """Keeps in mind a block of malloc's, as long as there are few."""
    if m.n_outside != MANY and p != NULL:
        if m.n_outside < OUTSIDE:
            m.outside[m.n_outside] = p
            m.n_outside += 1
        else:
            m.n_outside = MANY
    return p

cdef inline void not_outside(Memory* m, void* p) noexcept nogil:
    cdef int i = m.n_outside
    while i > 0:
        i -= 1
        if m.outside[i] == p:
            m.n_outside -= 1
            m.outside[i] = m.outside[m.n_outside]
            return

cdef bint drop_all(Memory* m) noexcept nogil:
    """Frees all that a state has, at a tenth of `lua_close`'s price; False where not all of it is known.

    What that would do beside: call finalisers, of which there is only ours (after_collection), that sets a flag.
    """
    cdef int i
    if not REGIONS or m.n_outside == MANY:
        return False
    for i in range(m.n_outside):
        free(m.outside[i])
    m.n_outside = 0
    return True

cdef inline bint in_region(Memory* m, void* p) noexcept nogil:
    return m.region != NULL and <size_t> (<char*> p - m.region) < REGION

cdef inline void* new_block(Memory* m, size_t size) noexcept nogil:
    cdef size_t kind = (size + 15) >> 4
    cdef Free* block
    if size <= LARGEST_SMALL:
        block = m.free_blocks[kind]
        if block != NULL:
            m.free_blocks[kind] = block.next
            return block
        if m.region != NULL and m.touched + (kind << 4) <= REGION:
            block = <Free*> (m.region + m.touched)
            m.touched += kind << 4
            return block
    return outside_block(m, malloc(size))

cdef inline void drop_block(Memory* m, void* p, size_t size) noexcept nogil:
    cdef size_t kind = (size + 15) >> 4
    if in_region(m, p):
        (<Free*> p).next = m.free_blocks[kind]
        m.free_blocks[kind] = <Free*> p
    else:
        not_outside(m, p)
        free(p)

cdef void* limited_alloc(void* ud, void* p, size_t old, size_t size) noexcept nogil:
    """lua_Alloc. Source: the Lua manual."""
    cdef Memory* m = <Memory*> ud
    cdef void* q
    if p == NULL:
        old = 0  # a kind of object, there
    if size == 0:
        if p != NULL:
            m.used -= old
            drop_block(m, p, old)
        return NULL
    if m.enforce and size > old and m.used + (size - old) > m.limit:
        return NULL
    if p == NULL:
        q = new_block(m, size)
    elif in_region(m, p):
        if (size + 15) >> 4 == (old + 15) >> 4:
            q = p
        else:
            q = new_block(m, size)
            if q != NULL:
                memcpy(q, p, old if old < size else size)
                drop_block(m, p, old)
    else:
        q = realloc(p, size)
        if q != NULL and q != p:
            not_outside(m, p)
            outside_block(m, q)
    if q != NULL:
        m.used += size - old
    return q
