import java.util.concurrent.CountDownLatch;
import sun.misc.Signal;

/** Handlers of USR2, INT and HUP run for raised signals; TERM without a handler ends the JVM through its shutdown hooks. */
public class Signals {
    public static void main(String[] args) throws Exception {
        for (String name : new String[] {"USR2", "INT", "HUP", "TERM"}) {
            CountDownLatch caught = new CountDownLatch(1);
            var before = Signal.handle(new Signal(name), signal -> {
                System.out.println("caught " + signal.getName() + " " + signal.getNumber());
                caught.countDown();
            });
            Signal.raise(new Signal(name));
            caught.await();
            Signal.handle(new Signal(name), before);
        }
        Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
        Signal.raise(new Signal("TERM"));
        Thread.sleep(60_000);
        System.out.println("not reached");
    }
}
