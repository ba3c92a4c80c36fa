import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntUnaryOperator;

/**
 * Everything that makes a JVM busy, at the same time, for as many seconds as the argument says: threads start and end, locks
 * are inflated and handed on, exceptions of all implicit kinds unwind, classes are loaded and unloaded, methods are compiled
 * and deoptimised, the heap fills and empties. Each kind checks its own results; the output is the same at every length
 * but for the counts.
 */
public class Churn {
    static long end;
    /** Part of the heap that may be in use: a collector that never frees ends the run here. */
    static double fullest;
    static final Map<String, AtomicLong> rounds = new TreeMap<>();
    static volatile Object sink;

    interface Kind {
        void round(Random random) throws Exception;
    }

    static boolean running() {
        Runtime r = Runtime.getRuntime();
        return System.nanoTime() < end && r.totalMemory() - r.freeMemory() < r.maxMemory() * fullest;
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    public static void main(String[] args) throws Exception {
        end = System.nanoTime() + Integer.parseInt(args[0]) * 1_000_000_000L;
        fullest = args.length > 1 ? Double.parseDouble(args[1]) : 2;
        Map<String, Kind> kinds = new TreeMap<>();
        kinds.put("classes", Churn::classes);
        kinds.put("exceptions", Churn::exceptions);
        kinds.put("heap", Churn::heap);
        kinds.put("jit", Churn::jit);
        kinds.put("locks", new Locks());
        kinds.put("parking", new Parking());
        kinds.put("threads", Churn::threads);
        List<Thread> all = new ArrayList<>();
        List<Throwable> failures = new ArrayList<>();
        for (Map.Entry<String, Kind> kind : kinds.entrySet()) {
            AtomicLong count = new AtomicLong();
            rounds.put(kind.getKey(), count);
            Thread thread = new Thread(() -> {
                Random random = new Random(kind.getKey().hashCode());
                try {
                    do {
                        kind.getValue().round(random);
                        count.incrementAndGet();
                    } while (running());
                } catch (Throwable failure) {
                    synchronized (failures) {
                        failures.add(failure);
                    }
                }
            }, kind.getKey());
            all.add(thread);
            thread.start();
        }
        for (Thread thread : all) {
            thread.join();
        }
        for (Throwable failure : failures) {
            failure.printStackTrace();
        }
        rounds.forEach((name, count) -> System.out.println(name + ": " + count + " rounds"));
        System.exit(failures.isEmpty() ? 0 : 1);
    }

    /** Start, interrupt and join of a handful. */
    static void threads(Random random) throws Exception {
        int[] ran = new int[8];
        Thread[] all = new Thread[ran.length];
        for (int i = 0; i < all.length; i++) {
            int me = i;
            all[i] = new Thread(() -> {
                if (me % 2 == 0) {
                    try {
                        Thread.sleep(1_000_000);
                    } catch (InterruptedException e) {
                        ran[me] = me + 1;
                    }
                } else {
                    ran[me] = me + 1;
                }
            });
            all[i].start();
        }
        for (int i = 0; i < all.length; i += 2) {
            all[i].interrupt();
        }
        for (Thread thread : all) {
            thread.join();
        }
        for (int i = 0; i < ran.length; i++) {
            check(ran[i] == i + 1, "a thread did not run to its end");
        }
    }

    /** Monitors, wait and notify, a ReentrantLock and a bounded queue between two lasting threads and this one. */
    static class Locks implements Kind {
        private final Object monitor = new Object();
        private final ReentrantLock lock = new ReentrantLock(true);
        private final BlockingQueue<Integer> there = new ArrayBlockingQueue<>(3), back = new ArrayBlockingQueue<>(3);
        private int guarded, turn;

        Locks() {
            for (int i = 0; i < 2; i++) {
                Thread helper = new Thread(() -> {
                    try {
                        while (true) {
                            int n = there.take();
                            for (int k = 0; k < n; k++) {
                                lock.lock();
                                try {
                                    guarded++;
                                } finally {
                                    lock.unlock();
                                }
                                synchronized (monitor) {
                                    turn++;
                                    monitor.notifyAll();
                                }
                            }
                            back.put(n);
                        }
                    } catch (InterruptedException e) {
                        throw new AssertionError(e);
                    }
                });
                helper.setDaemon(true);
                helper.start();
            }
        }

        public void round(Random random) throws Exception {
            int a = 1 + random.nextInt(50), b = 1 + random.nextInt(50);
            guarded = 0;
            synchronized (monitor) {
                turn = 0;
            }
            there.put(a);
            there.put(b);
            synchronized (monitor) {
                while (turn < a + b) {
                    monitor.wait(random.nextInt(4) == 0 ? 1 : 0);
                }
            }
            check(back.take() + back.take() == a + b, "the queue lost a number");
            check(guarded == a + b, "two were in the lock");
        }
    }

    /** Park and unpark, with and without a time. */
    static class Parking implements Kind {
        private volatile long asked, answered;
        private volatile Thread caller;
        private final Thread helper = new Thread(() -> {
            while (true) {
                while (answered == asked) {
                    LockSupport.park();
                }
                answered = asked;
                LockSupport.unpark(caller);
            }
        });

        public void round(Random random) {
            if (caller == null) {
                caller = Thread.currentThread();
                helper.setDaemon(true);
                helper.start();
            }
            for (int i = 0; i < 100; i++) {
                asked++;
                LockSupport.unpark(helper);
                while (answered != asked) {
                    if (random.nextInt(3) == 0) {
                        LockSupport.parkNanos(random.nextInt(200_000));
                    } else {
                        LockSupport.park();
                    }
                }
            }
        }
    }

    static int deep(int n) {
        return n == 0 ? 0 : 1 + deep(n + 1);
    }

    /** Implicit checks and a stack overflow, caught at once and further up. */
    static void exceptions(Random random) {
        int caught = 0;
        int[] array = new int[4];
        Object text = "text";
        for (int i = 0; i < 400; i++) {
            try {
                switch (i % 5) {
                    case 0 -> array[4 + random.nextInt(9)] = 1;
                    case 1 -> sink = (random.nextInt(7) >= 0 ? null : array)[0];
                    case 2 -> sink = 7 / (random.nextInt(7) >= 0 ? 0 : 1);
                    case 3 -> sink = (Integer) text;
                    default -> sink = new int[-1 - random.nextInt(5)];
                }
            } catch (ArrayIndexOutOfBoundsException | NullPointerException | ArithmeticException | ClassCastException
                    | NegativeArraySizeException e) {
                caught++;
            }
        }
        check(caught == 400, "an exception was lost");
        try {
            deep(1);
            check(false, "no stack overflow");
        } catch (StackOverflowError e) {
            caught++;
        }
    }

    /** A class that every loader defines for itself. */
    public static class Guest implements Callable<Integer>, IntUnaryOperator {
        static int count;

        public Integer call() {
            int sum = 0;
            for (int i = 0; i < 300; i++) {
                sum += applyAsInt(i);
            }
            count++;
            return sum + count;
        }

        public int applyAsInt(int x) {
            return x * 3 ^ x >> 1;
        }
    }

    static class Loader extends ClassLoader {
        private final byte[] bytes;

        Loader(byte[] bytes) {
            super(Churn.class.getClassLoader());
            this.bytes = bytes;
        }

        Class<?> make(String name) {
            return defineClass(name, bytes, 0, bytes.length);
        }
    }

    static byte[] guest;

    /** Loads, runs and forgets. */
    static void classes(Random random) throws Exception {
        if (guest == null) {
            try (InputStream in = Churn.class.getResourceAsStream("Churn$Guest.class")) {
                guest = in.readAllBytes();
            }
        }
        int expected = new Guest().call() - Guest.count;
        for (int i = 0; i < 20; i++) {
            Class<?> made = new Loader(guest).make("Churn$Guest");
            check(made != Guest.class, "the parent's class");
            Callable<?> callable = (Callable<?>) made.getDeclaredConstructor().newInstance();
            check((Integer) callable.call() == expected + 1, "another sum, or another class's count");
            Runnable lambda = random.nextInt(2) == 0 ? () -> sink = callable : () -> sink = made;
            lambda.run();
        }
        if (random.nextInt(20) == 0) {
            System.gc();
        }
    }

    static int apply(IntUnaryOperator operator, int from, int n) {
        int x = from;
        for (int i = 0; i < n; i++) {
            x = operator.applyAsInt(x);
        }
        return x;
    }

    /** A call site that sees ever new classes: compiled, guessed wrong, deoptimised, compiled again. */
    static void jit(Random random) throws Exception {
        while (guest == null) {
            Thread.sleep(1);
        }
        IntUnaryOperator fresh =
            (IntUnaryOperator) new Loader(guest).make("Churn$Guest").getDeclaredConstructor().newInstance();
        IntUnaryOperator own = new Guest();
        for (int turn = 0; turn < 5; turn++) {
            int from = random.nextInt(), n = 20_000;
            check(apply(fresh, from, n) == apply(own, from, n), "compiled code counts differently");
        }
    }

    /** Small, large and long-lived objects whose contents are looked at. */
    static void heap(Random random) throws IOException {
        ArrayDeque<byte[]> live = new ArrayDeque<>();
        Map<Integer, String> names = new HashMap<>();
        for (int i = 0; i < 2000; i++) {
            byte[] bytes = new byte[16 + random.nextInt(8000)];
            bytes[0] = (byte) i;
            bytes[bytes.length - 1] = (byte) (i + 1);
            live.add(bytes);
            names.put(i, "n" + i);
            if (live.size() > 700) {
                int first = i - live.size() + 1;
                byte[] old = live.poll();
                check(old[0] == (byte) first && old[old.length - 1] == (byte) (first + 1), "an object changed");
            }
        }
        for (int i = 0; i < 2000; i += 7) {
            check(names.get(i).equals("n" + i), "a name changed");
        }
        ByteArrayOutputStream large = new ByteArrayOutputStream();
        byte[] piece = new byte[100_000];
        for (int i = 0; i < 30; i++) {
            large.write(piece);
        }
        sink = large;
        check(new ConcurrentHashMap<>(names).size() == names.size(), "a map lost something");
    }
}
